//! Counting decisions: by what blocks say of themselves where that is enough, else by their indexes;
//! by details only where the method is asked for.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::asking::{Asking, Unread};
use super::reading::QUERY_LIMIT;
use super::scanning::{Order, each_row};
use super::{ABOUT, LogStore, about};
use crate::decision_log::block::About;
use crate::decision_log::query::QueryError;
use crate::decision_log::summary::{Counting, Keys, Summary, SummaryOf, VerdictKeys};

impl LogStore {
    /// Counts decisions.
    pub fn summarize(&self, question: &SummaryOf) -> Result<Summary, QueryError> {
        self.summarize_within(question, QUERY_LIMIT)
    }

    pub(in crate::decision_log) fn summarize_within(
        &self,
        question: &SummaryOf,
        limit: Duration,
    ) -> Result<Summary, QueryError> {
        let mut counting = question.counting(Timestamp::now())?;
        let wanted = counting.wanted.clone();
        let connection = self.connection();
        let asking = Asking::new(&connection, &wanted)?;
        let start = Instant::now();
        // The newest time that is not counted any more.
        let mut uncounted: Option<i64> = None;
        let order = Order::NewestFirst;
        each_row(&connection, &self.damage, ABOUT, order, |block, row| {
            let Ok(about) = about(row) else {
                self.damage.of_block(block);
                return Ok::<_, QueryError>(ControlFlow::Continue(()));
            };
            if !wanted.may_be_in(&about) {
                return Ok(ControlFlow::Continue(()));
            }
            if uncounted.is_some() || start.elapsed() > limit {
                uncounted = uncounted.max(Some(about.time_ns.last));
                return Ok(ControlFlow::Continue(()));
            }
            match count(&mut counting, &asking, &about) {
                Ok(()) => {}
                Err(Unread::Damaged) => self.damage.of_block(block),
                Err(Unread::Store(error)) => return Err(error.into()),
            }
            Ok(ControlFlow::Continue(()))
        })?;
        let since = uncounted.map(|last| {
            let since = i128::from(last) + 1;
            Timestamp::from_nanosecond(since).unwrap_or(Timestamp::MAX)
        });
        Ok(counting.finish(since))
    }
}

fn count(counting: &mut Counting, asking: &Asking<'_>, about: &About) -> Result<(), Unread> {
    let time = about.time_ns;
    if counting.keys.are_of_effect_alone()
        && asking.wanted.is_met_by_all_of(about)
        && counting.are_together(time.first, time.last)
    {
        let count = u64::try_from(about.count).unwrap_or(0);
        counting.add(&Keys::of_effect(about.effect), time.last, count);
        return Ok(());
    }
    asking.look_into(about.seq.last, |records, _| {
        let mut known = VerdictKeys::default();
        let mut key = Vec::new();
        for record in &records {
            counting
                .keys
                .put(&mut key, about.effect, record, &mut known);
            counting.add(&key, record.time_ns, 1);
        }
        Ok(())
    })
}
