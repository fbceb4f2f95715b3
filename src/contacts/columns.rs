//! Which column is what.

use super::Cell;

/// What a column may be besides a variable.
const FIELDS: [Field; 4] = [Field::Number, Field::Zone, Field::Consent, Field::NotBefore];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Number,
    Zone,
    Consent,
    NotBefore,
}

impl Field {
    pub(super) fn word(self) -> &'static str {
        self.names()[0]
    }

    /// What its column is called where nobody says.
    fn names(self) -> &'static [&'static str] {
        match self {
            Self::Number => &["number", "phone"],
            Self::Zone => &["zone", "timezone", "time_zone"],
            Self::Consent => &["consent"],
            Self::NotBefore => &["not_before"],
        }
    }
}

/// Which column is which field, and what variables are called, as the user says it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mapping {
    fields: Vec<(Field, String)>,
    /// A variable and its column.
    variables: Vec<(String, String)>,
}

impl Mapping {
    /// Reads `FIELD=COLUMN`s.
    ///
    /// # Errors
    /// Words for the user.
    pub fn parse(pairs: &[String]) -> Result<Self, String> {
        let mut mapping = Self::default();
        for pair in pairs {
            let Some((name, column)) = pair.split_once('=') else {
                return Err(format!("`{pair}`: write FIELD=COLUMN, such as number=Mobile"));
            };
            let (name, column) = (name.trim(), column.trim().to_owned());
            let field = FIELDS.into_iter().find(|field| field.word() == name);
            if column.is_empty() || name.is_empty() {
                return Err(format!("`{pair}`: write FIELD=COLUMN, such as number=Mobile"));
            }
            if let Some(near) = FIELDS.iter().find(|field| field_likely(name, field.word())) {
                return Err(format!("`{name}`: did you mean `{}`?", near.word()));
            }
            let twice = match field {
                Some(field) => mapping.fields.iter().any(|(other, _)| *other == field),
                None => mapping.variables.iter().any(|(other, _)| other == name),
            };
            if twice {
                return Err(format!("`{name}` is given twice"));
            }
            match field {
                Some(field) => mapping.fields.push((field, column)),
                None => mapping.variables.push((name.to_owned(), column)),
            }
        }
        Ok(mapping)
    }
}

fn field_likely(name: &str, field: &str) -> bool {
    name != field && strsim::jaro_winkler(&name.to_lowercase(), field) > 0.9
}

/// The columns of a file.
#[derive(Debug)]
pub(super) struct Columns {
    /// Each one's name; of variables the scenario's.
    pub(super) names: Vec<String>,
    pub(super) number: usize,
    pub(super) zone: Option<usize>,
    pub(super) consent: Option<usize>,
    pub(super) not_before: Option<usize>,
}

impl Columns {
    pub(super) fn of(header: &[Cell], mapping: &Mapping) -> Result<Self, String> {
        let header = names(header)?;
        let mut names = header.clone();
        for (variable, column) in &mapping.variables {
            let at = position(&header, column).ok_or_else(|| missing(column, variable, &header))?;
            if header.iter().any(|other| other == variable) {
                return Err(format!("`{variable}={column}`: there is a column `{variable}` already"));
            }
            names[at].clone_from(variable);
        }
        let find = |field: Field| find(field, &header, mapping);
        let number = find(Field::Number)?.ok_or_else(|| {
            format!("no column `number` or `phone`; the columns are: {}", header.join(", "))
        })?;
        let (zone, consent, not_before) =
            (find(Field::Zone)?, find(Field::Consent)?, find(Field::NotBefore)?);
        Ok(Self { names, number, zone, consent, not_before })
    }

    /// Whether a column is a contact's variable.
    pub(super) fn is_variable(&self, index: usize) -> bool {
        index != self.number && ![self.zone, self.consent, self.not_before].contains(&Some(index))
    }
}

fn find(field: Field, header: &[String], mapping: &Mapping) -> Result<Option<usize>, String> {
    if let Some((_, column)) = mapping.fields.iter().find(|(of, _)| *of == field) {
        return match position(header, column) {
            Some(at) => Ok(Some(at)),
            None => Err(missing(column, field.word(), header)),
        };
    }
    let taken = |column: &str| {
        let mut mapped =
            mapping.fields.iter().map(|(_, of)| of).chain(mapping.variables.iter().map(|(_, of)| of));
        mapped.any(|mapped| mapped.eq_ignore_ascii_case(column))
    };
    let found: Vec<_> =
        field.names().iter().filter(|name| !taken(name)).filter_map(|name| position(header, name)).collect();
    match found[..] {
        [] => Ok(None),
        [one] => Ok(Some(one)),
        [first, second, ..] => {
            let (first, second) = (&header[first], &header[second]);
            let which = match field {
                Field::Number => "which one is to be called?".to_owned(),
                Field::Zone | Field::Consent | Field::NotBefore => {
                    format!("which one is the {}?", field.word())
                }
            };
            Err(format!(
                "both `{first}` and `{second}`: {which} Say it with --column {}=COLUMN",
                field.word()
            ))
        }
    }
}

fn missing(column: &str, field: &str, header: &[String]) -> String {
    format!("no column `{column}` for `{field}`; the columns are: {}", header.join(", "))
}

fn position(header: &[String], column: &str) -> Option<usize> {
    header.iter().position(|name| name.eq_ignore_ascii_case(column))
}

fn names(header: &[Cell]) -> Result<Vec<String>, String> {
    let mut names: Vec<String> = Vec::new();
    for (index, cell) in header.iter().enumerate() {
        let name = &cell.text;
        if name.is_empty() {
            return Err(format!("column {} has no name", index + 1));
        }
        if let Some(first) = position(&names, name) {
            return Err(format!("there are two columns `{name}` ({} and {})", first + 1, index + 1));
        }
        names.push(name.clone());
    }
    Ok(names)
}
