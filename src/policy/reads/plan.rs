//! What the decision cache takes of every request to one workload: all that its policies can read, put
//! together once, so that a check does not search. How it is written down is left to `cache`.

use super::{Field, Reads};

/// Fields that tell a request over HTTP from one that is not.
const OF_HTTP: [Field; 11] = [
    Field::Host,
    Field::Method,
    Field::Path,
    Field::Target,
    Field::Scheme,
    Field::HttpVersion,
    Field::Headers,
    Field::Body,
    Field::Shape,
    Field::Id,
    Field::QueryAndFragment,
];

/// What there is to take.
#[derive(Debug, Default)]
pub struct Plan {
    /// Of all policies together.
    pub reads: Reads,
    /// Each by itself. What another one holds as well is left out.
    pub fields: Vec<Field>,
    /// Lower-case names, if not all headers are among the fields.
    pub headers: Vec<String>,
}

impl Plan {
    /// What several policies read.
    pub fn of<'a>(reads: impl IntoIterator<Item = &'a Reads>) -> Self {
        let mut all = Reads::default();
        for reads in reads {
            all.merge(reads);
        }
        if all.whole_input {
            return Self {
                reads: all,
                ..Self::default()
            };
        }
        let fields = all.fields.iter().copied();
        let headers = match all.fields.contains(&Field::Headers) {
            true => Vec::new(),
            false => all.headers.iter().cloned().collect(),
        };
        Self {
            fields: fields
                .filter(|field| !is_in_another(*field, &all))
                .collect(),
            headers,
            reads: all,
        }
    }
}

fn is_in_another(field: Field, all: &Reads) -> bool {
    match field {
        Field::Path => all.fields.contains(&Field::Target),
        Field::Protocol => OF_HTTP.iter().any(|other| all.fields.contains(other)),
        _ => false,
    }
}
