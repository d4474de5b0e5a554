//! Rules that look through fragments: that none is inside of itself, how deep introspection goes, and
//! what a subscription selects.

use std::collections::{BTreeMap, BTreeSet};

use super::super::ast::{Field, Operation, OperationKind, Selection};
use super::{Check, Walk, broken};

/// Fewest lists inside of one another that introspection may not reach.
const MAX_LISTS: usize = 3;

/// What is known of a fragment on the search for cycles.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Visit {
    Begun,
    Done,
}

// === impl Walk ===

impl<'a> Walk<'a, '_> {
    /// Rule: no fragment is inside of itself.
    pub(super) fn check_cycles(&mut self) -> Check {
        let mut visits = BTreeMap::new();
        let names: Vec<_> = self.fragments.keys().copied().collect();
        for name in names {
            self.visit(name, &mut visits)?;
        }
        Ok(())
    }

    fn visit(&mut self, name: &'a str, visits: &mut BTreeMap<&'a str, Visit>) -> Check {
        match visits.get(name) {
            Some(Visit::Begun) => return broken("a fragment is inside of itself"),
            Some(Visit::Done) => return Ok(()),
            None => {}
        }
        let Some(fragment) = self.fragments.get(name).copied() else {
            return Ok(());
        };
        self.work.enter()?;
        visits.insert(name, Visit::Begun);
        let mut spreads = BTreeSet::new();
        self.spreads(&fragment.selections, &mut spreads)?;
        for spread in spreads {
            self.visit(spread, visits)?;
        }
        visits.insert(name, Visit::Done);
        self.work.leave();
        Ok(())
    }

    /// The fragments that are spread in selections, at any depth.
    fn spreads(&mut self, selections: &'a [Selection], names: &mut BTreeSet<&'a str>) -> Check {
        self.work.spend(selections.len())?;
        for selection in selections {
            match selection {
                Selection::Field(field) => self.spreads(&field.selections, names)?,
                Selection::Inline(inline) => self.spreads(&inline.selections, names)?,
                Selection::Spread(spread) => {
                    names.insert(&spread.name);
                }
            }
        }
        Ok(())
    }

    /// Rule: lists of a schema's parts are not inside of one another without end: answers grow with
    /// each.
    pub(super) fn check_introspection(&mut self, field: &'a Field) -> Check {
        self.lists(field, 0)
    }

    fn lists(&mut self, field: &'a Field, outer: usize) -> Check {
        let is_list = matches!(
            field.name.as_str(),
            "fields" | "interfaces" | "possibleTypes" | "inputFields"
        );
        let lists = outer + usize::from(is_list);
        if lists >= MAX_LISTS {
            return broken("introspection goes too deep");
        }
        self.lists_of(&field.selections, lists)
    }

    fn lists_of(&mut self, selections: &'a [Selection], lists: usize) -> Check {
        self.work.enter()?;
        self.work.spend(selections.len())?;
        for selection in selections {
            match selection {
                Selection::Field(field) => self.lists(field, lists)?,
                Selection::Inline(inline) => self.lists_of(&inline.selections, lists)?,
                // It is not inside of itself: that has been looked at before.
                Selection::Spread(spread) => {
                    if let Some(fragment) = self.fragments.get(spread.name.as_str()).copied() {
                        self.lists_of(&fragment.selections, lists)?;
                    }
                }
            }
        }
        self.work.leave();
        Ok(())
    }

    /// Rule: a subscription has one field, which is none of GraphQL's own. gqlparser counts fields by
    /// name, not by alias.
    pub(super) fn check_subscription(&mut self, operation: &'a Operation) -> Check {
        if operation.kind != OperationKind::Subscription {
            return Ok(());
        }
        let mut top = TopFields::default();
        self.top_fields(&operation.selections, &mut top)?;
        if top.fields.len() > 1 || top.fields.iter().any(|name| name.starts_with("__")) {
            return broken("a subscription selects other than one field");
        }
        Ok(())
    }

    fn top_fields(&mut self, selections: &'a [Selection], top: &mut TopFields<'a>) -> Check {
        self.work.enter()?;
        self.work.spend(selections.len())?;
        for selection in selections {
            match selection {
                Selection::Field(field) => {
                    top.fields.insert(&field.name);
                }
                Selection::Inline(inline) => self.top_fields(&inline.selections, top)?,
                Selection::Spread(spread) => {
                    let fragment = self.fragments.get(spread.name.as_str()).copied();
                    if let Some(fragment) = fragment
                        && top.fragments.insert(&spread.name)
                    {
                        self.top_fields(&fragment.selections, top)?;
                    }
                }
            }
        }
        self.work.leave();
        Ok(())
    }
}

/// What a subscription selects, and the fragments it does so by.
#[derive(Default)]
struct TopFields<'a> {
    fields: BTreeSet<&'a str>,
    fragments: BTreeSet<&'a str>,
}
