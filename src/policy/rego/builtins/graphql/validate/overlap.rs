//! Whether fields that get into one place of a response can be joined there (GraphQL specification,
//! section 5.3.2), by gqlparser's steps: fields of a selection with one another, with those of the
//! fragments it spreads, and those of the fragments with one another, down through what they select.

use std::collections::{BTreeMap, BTreeSet};

use super::super::ast::{Argument, DefinitionKind, Field, FieldDefinition, Selection, Type};
use super::super::schema::TypeEntry;
use super::{Check, Failure, Parent, Walk, broken};

/// What has been compared.
#[derive(Default)]
pub(super) struct Overlap<'a> {
    /// Pairs of fragments, and whether that was where only one of both can be.
    pairs: BTreeMap<(&'a str, &'a str), bool>,
    /// Fragments, with the fields that are looked at now. gqlparser has one such set and begins it
    /// anew while another comparison is still at it; so does this.
    fragments: BTreeSet<&'a str>,
}

/// A field, with the type it is a field of.
#[derive(Clone, Copy)]
struct FieldAt<'a, 's> {
    field: &'a Field,
    parent: Parent<'a, 's>,
    definition: Option<&'a FieldDefinition>,
}

/// The fields of a selection by the names they have in a response, and the fragments it spreads.
#[derive(Default)]
struct Collected<'a, 's> {
    /// In the order of their first fields.
    names: Vec<&'a str>,
    fields: BTreeMap<&'a str, Vec<FieldAt<'a, 's>>>,
    spreads: Vec<&'a str>,
}

// === impl Collected ===

impl<'a, 's> Collected<'a, 's> {
    fn push(&mut self, name: &'a str, field: FieldAt<'a, 's>) {
        let fields = self.fields.entry(name).or_default();
        if fields.is_empty() {
            self.names.push(name);
        }
        fields.push(field);
    }

    fn named(&self, name: &str) -> &[FieldAt<'a, 's>] {
        self.fields.get(name).map_or(&[], Vec::as_slice)
    }

    fn each(&self) -> impl Iterator<Item = (&'a str, &[FieldAt<'a, 's>])> {
        self.names.iter().map(|name| (*name, self.named(name)))
    }

    fn is_same(&self, other: &Self) -> bool {
        let is_same = |name: &&str| {
            let (own, others) = (self.named(name), other.named(name));
            let mut pairs = own.iter().zip(others);
            own.len() == others.len() && pairs.all(|(one, two)| std::ptr::eq(one.field, two.field))
        };
        self.names == other.names && self.names.iter().all(is_same)
    }
}

// === impl Walk ===

impl<'a, 's> Walk<'a, 's> {
    /// Compares what is in selections of one parent.
    pub(super) fn check_overlaps(
        &mut self,
        parent: Parent<'a, 's>,
        selections: &'a [Selection],
    ) -> Check {
        if selections.is_empty() {
            return Ok(());
        }
        let own = self.collected(parent, selections)?;
        for (_, fields) in own.each() {
            for (index, field) in fields.iter().enumerate() {
                for other in fields.iter().skip(index + 1) {
                    self.compare(false, field, other)?;
                }
            }
        }
        self.overlap.fragments.clear();
        for (index, spread) in own.spreads.iter().enumerate() {
            self.compare_with_fragment(false, &own, spread)?;
            for other in own.spreads.iter().skip(index + 1) {
                self.work.spend(1)?;
                self.compare_fragments(false, spread, other)?;
            }
        }
        Ok(())
    }

    fn collected(
        &mut self,
        parent: Parent<'a, 's>,
        selections: &'a [Selection],
    ) -> Result<Collected<'a, 's>, Failure> {
        let mut collected = Collected::default();
        self.collect(parent, selections, &mut collected)?;
        Ok(collected)
    }

    fn collect(
        &mut self,
        parent: Parent<'a, 's>,
        selections: &'a [Selection],
        collected: &mut Collected<'a, 's>,
    ) -> Check {
        self.work.spend(selections.len())?;
        for selection in selections {
            match selection {
                Selection::Field(field) => {
                    let name = if field.alias.is_empty() {
                        &field.name
                    } else {
                        &field.alias
                    };
                    let at = FieldAt {
                        field,
                        parent,
                        definition: self.schema.field(parent, &field.name),
                    };
                    collected.push(name, at);
                }
                Selection::Inline(inline) => {
                    let parent = if inline.condition.is_empty() {
                        parent
                    } else {
                        self.schema.get(&inline.condition)
                    };
                    self.collect(parent, &inline.selections, collected)?;
                }
                Selection::Spread(spread) => collected.spreads.push(&spread.name),
            }
        }
        Ok(())
    }

    /// What is in a fragment, if there is one of that name.
    fn collected_of(&mut self, name: &str) -> Result<Option<Collected<'a, 's>>, Failure> {
        let Some(fragment) = self.fragments.get(name).copied() else {
            return Ok(None);
        };
        let condition = self.schema.get(&fragment.condition);
        self.collected(condition, &fragment.selections).map(Some)
    }

    fn compare_with_fragment(
        &mut self,
        exclusive: bool,
        own: &Collected<'a, 's>,
        name: &'a str,
    ) -> Check {
        if !self.overlap.fragments.insert(name) {
            return Ok(());
        }
        let Some(other) = self.collected_of(name)? else {
            return Ok(());
        };
        if own.is_same(&other) {
            return Ok(());
        }
        self.work.enter()?;
        self.compare_all(exclusive, own, &other)?;
        for spread in &other.spreads {
            self.compare_with_fragment(exclusive, own, spread)?;
        }
        self.work.leave();
        Ok(())
    }

    fn compare_fragments(&mut self, exclusive: bool, one: &'a str, two: &'a str) -> Check {
        let earlier = self.overlap.pairs.get(&(one, two));
        // Rule: what has been compared where both can be need not be compared where one can be.
        let is_done = earlier.is_some_and(|was_exclusive| exclusive || !was_exclusive);
        if one == two || is_done {
            return Ok(());
        }
        self.overlap.pairs.insert((one, two), exclusive);
        self.overlap.pairs.insert((two, one), exclusive);
        let (of_one, of_two) = (self.collected_of(one)?, self.collected_of(two)?);
        let (Some(of_one), Some(of_two)) = (of_one, of_two) else {
            return Ok(());
        };
        self.work.enter()?;
        self.compare_all(exclusive, &of_one, &of_two)?;
        for spread in of_two.spreads {
            self.compare_fragments(exclusive, one, spread)?;
        }
        for spread in of_one.spreads {
            self.compare_fragments(exclusive, spread, two)?;
        }
        self.work.leave();
        Ok(())
    }

    /// Compares the fields of one collection with those of another.
    fn compare_all(
        &mut self,
        exclusive: bool,
        one: &Collected<'a, 's>,
        two: &Collected<'a, 's>,
    ) -> Check {
        for (name, fields) in one.each() {
            self.work.spend(1)?;
            for field in fields {
                for other in two.named(name) {
                    self.compare(exclusive, field, other)?;
                }
            }
        }
        Ok(())
    }

    /// Rule: fields that can be in one response are the same, with the same arguments; and whether
    /// they can or not, what their values are made of is the same.
    fn compare(&mut self, exclusive: bool, one: &FieldAt<'a, 's>, two: &FieldAt<'a, 's>) -> Check {
        self.work.spend(1)?;
        let (Some(parent_of_one), Some(parent_of_two)) = (one.parent, two.parent) else {
            return Ok(());
        };
        let is_known = one.definition.is_some() && two.definition.is_some();
        let exclusive = exclusive || is_known && are_exclusive(parent_of_one, parent_of_two);
        if !exclusive {
            if one.field.name != two.field.name {
                return broken("two fields of a name are different fields");
            }
            let (of_one, of_two) = (&one.field.arguments, &two.field.arguments);
            self.work.spend(of_one.len() * of_two.len())?;
            if !same_arguments(of_one, of_two) {
                return broken("two fields of a name have different arguments");
            }
        }
        if let (Some(one), Some(two)) = (one.definition, two.definition)
            && self.conflict(&one.kind, &two.kind)
        {
            return broken("two fields of a name have different types");
        }
        self.work.enter()?;
        self.compare_inner(exclusive, one, two)?;
        self.work.leave();
        Ok(())
    }

    /// Compares what two fields select.
    fn compare_inner(
        &mut self,
        exclusive: bool,
        one: &FieldAt<'a, 's>,
        two: &FieldAt<'a, 's>,
    ) -> Check {
        let of_one = self.collected(self.type_of(one.definition), &one.field.selections)?;
        let of_two = self.collected(self.type_of(two.definition), &two.field.selections)?;
        self.compare_all(exclusive, &of_one, &of_two)?;
        for spread in &of_two.spreads {
            self.overlap.fragments.clear();
            self.compare_with_fragment(exclusive, &of_one, spread)?;
        }
        for spread in &of_one.spreads {
            self.overlap.fragments.clear();
            self.compare_with_fragment(exclusive, &of_two, spread)?;
        }
        for one in &of_one.spreads {
            for two in &of_two.spreads {
                self.work.spend(1)?;
                self.compare_fragments(exclusive, one, two)?;
            }
        }
        Ok(())
    }

    /// Rule: lists and what is never null are the same in both, and so are scalars and enums.
    fn conflict(&self, one: &Type, two: &Type) -> bool {
        match (&one.element, &two.element) {
            (Some(one), Some(two)) => return self.conflict(one, two),
            (None, None) => {}
            _ => return true,
        }
        let kind = |name: &str| self.schema.get(name).map(|entry| entry.kind);
        let is_leaf = |name: &str| kind(name).is_some_and(DefinitionKind::is_leaf);
        one.non_null != two.non_null
            || is_leaf(&one.named) && is_leaf(&two.named) && one.named != two.named
    }
}

/// Rule: an object is never of two object types.
fn are_exclusive(one: &TypeEntry<'_>, two: &TypeEntry<'_>) -> bool {
    let is_object = |entry: &TypeEntry<'_>| entry.kind == DefinitionKind::Object;
    one.name != two.name && is_object(one) && is_object(two)
}

/// Rule: gqlparser compares the text of values, which lists and objects have none of.
fn same_arguments(one: &[Argument], two: &[Argument]) -> bool {
    let is_same = |one: &Argument, two: &Argument| {
        one.name == two.name && one.value.kind == two.value.kind && one.value.raw == two.value.raw
    };
    let is_in_two = |one: &Argument| two.iter().any(|two| is_same(one, two));
    one.len() == two.len() && one.iter().all(is_in_two)
}
