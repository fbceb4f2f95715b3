//! Whisper through CTranslate2. The only folder that names ct2rs.
