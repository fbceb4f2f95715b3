//! A list read on a thread of its own, beside the database's work.

use std::{ops::ControlFlow, sync::Arc};

use tokio::{sync::mpsc, task::JoinHandle};

use super::{BadRow, ListError, ListFile, Row, Rules};

/// Batches that wait; a full channel holds the reading up.
const WAITING: usize = 4;

/// Rows in the file's order, so many at a time. Dropped, the reading ends.
pub struct Batches {
    rows: mpsc::Receiver<Vec<Result<Row, BadRow>>>,
    reading: JoinHandle<Result<(), ListError>>,
}

impl Batches {
    /// Every batch but the last has `size` rows, bad ones among them.
    #[must_use]
    pub fn spawn(file: Arc<ListFile>, rules: Rules, size: usize) -> Self {
        let (sender, rows) = mpsc::channel(WAITING);
        let reading = tokio::task::spawn_blocking(move || {
            let mut batch = Vec::with_capacity(size);
            file.rows(&rules, |row| {
                batch.push(row);
                if batch.len() < size {
                    return ControlFlow::Continue(());
                }
                let full = std::mem::replace(&mut batch, Vec::with_capacity(size));
                match sender.blocking_send(full) {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(_) => ControlFlow::Break(()),
                }
            })?;
            // Nobody listens any more: then nobody misses it.
            sender.blocking_send(batch).ok();
            Ok(())
        });
        Self { rows, reading }
    }

    /// The next batch; `None` at the end.
    ///
    /// # Errors
    /// [`ListError`] where the file could not be read to its end.
    pub async fn next(&mut self) -> Result<Option<Vec<Result<Row, BadRow>>>, ListError> {
        if let Some(batch) = self.rows.recv().await {
            return Ok(Some(batch));
        }
        match (&mut self.reading).await {
            Ok(read) => read.map(|()| None),
            Err(died) => Err(ListError::Refused(format!("could not be read: {died}"))),
        }
    }
}
