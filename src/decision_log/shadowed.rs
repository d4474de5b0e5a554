//! What shadows say of a decision, as it gets into its record: asked for when the record is stored, and
//! waited for only so long.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::chunk::Head;
use crate::shadow::{Skip, Verdict};

/// Whether any of the shadows that were asked would have changed the reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shadowed {
    Same,
    Changed,
}

/// The same, and all of it as it is shown.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) mark: Option<Shadowed>,
    pub(super) shown: Option<Value>,
}

impl Shadowed {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Changed => "changed",
        }
    }

    fn by(verdicts: &[Verdict]) -> Option<Self> {
        let known = verdicts.iter().filter_map(Verdict::changed);
        let changed = known.reduce(|one, other| one || other)?;
        Some(if changed { Self::Changed } else { Self::Same })
    }
}

/// What shadows say of a record, waited for out of so much patience; bare, without words that may be the
/// request's.
pub(super) fn of(head: &Head, patience: &mut Duration, is_bare: bool) -> Said {
    let Some(slot) = &head.shadow else {
        return Said::default();
    };
    let began = Instant::now();
    let verdicts = slot.take(*patience);
    *patience = patience.saturating_sub(began.elapsed());
    let Some(mut verdicts) = verdicts else {
        let late = json!([{ "skipped": Skip::Late.as_str() }]);
        return Said {
            mark: None,
            shown: Some(late),
        };
    };
    if is_bare {
        verdicts = verdicts.into_iter().map(Verdict::bare).collect();
    }
    Said {
        mark: Shadowed::by(&verdicts),
        // Nothing in it can fail to be written.
        shown: serde_json::to_value(verdicts).ok(),
    }
}
