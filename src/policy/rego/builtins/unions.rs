//! Unions of many: `object.union_n`, and `union` of a set of sets. The interpreter copies all it has
//! for each one more; here each is folded into one collection.

use std::collections::{BTreeMap, BTreeSet};

use regorus::Value;

use super::{Answer, Builtin, Failure, any};

/// Most members gone over.
const MAX_STEPS: usize = 10_000_000;

pub(super) const BUILTINS: &[Builtin] = &[
    Builtin::pure("object.union_n", 1, union_of_objects),
    Builtin::pure("union", 1, union_of_sets),
];

/// Rule: what is in one of the sets.
fn union_of_sets(arguments: &[Value]) -> Answer {
    let Value::Set(sets) = any(arguments, 0)? else {
        return Err(Failure::Failed("union: operand 1 must be set"));
    };
    let mut steps = Steps(0);
    let mut union = BTreeSet::new();
    for set in sets.iter() {
        let Value::Set(set) = set else {
            return Err(Failure::Failed("union: operand 1 must be set of sets"));
        };
        steps.spend(set.len())?;
        union.extend(set.iter().cloned());
    }
    Ok(Value::from(union))
}

fn union_of_objects(arguments: &[Value]) -> Answer {
    let Value::Array(objects) = any(arguments, 0)? else {
        return Err(Failure::Failed("object.union_n: operand 1 must be array"));
    };
    let mut steps = Steps(0);
    let mut union = BTreeMap::new();
    for object in objects.iter() {
        if !matches!(object, Value::Object(_)) {
            return Err(Failure::Failed(
                "object.union_n: operand 1 must be array of objects",
            ));
        }
        merge(&mut union, object, &mut steps)?;
    }
    Ok(rendered(union))
}

/// A member of a union: as one of the objects has it, or of several.
enum Member {
    Given(Value),
    Merged(BTreeMap<Value, Self>),
}

/// Rule: what a later object has is there; where both have objects, those are united as well.
fn merge(
    union: &mut BTreeMap<Value, Member>,
    object: &Value,
    steps: &mut Steps,
) -> Result<(), Failure> {
    let Value::Object(members) = object else {
        return Ok(());
    };
    steps.spend(members.len())?;
    for (name, value) in members.iter() {
        let Some(known) = union.get_mut(name) else {
            union.insert(name.clone(), Member::Given(value.clone()));
            continue;
        };
        match known {
            Member::Merged(known) if matches!(value, Value::Object(_)) => {
                merge(known, value, steps)?;
            }
            Member::Given(given @ Value::Object(_)) if matches!(value, Value::Object(_)) => {
                let mut both = BTreeMap::new();
                merge(&mut both, given, steps)?;
                merge(&mut both, value, steps)?;
                *known = Member::Merged(both);
            }
            known => *known = Member::Given(value.clone()),
        }
    }
    Ok(())
}

fn rendered(union: BTreeMap<Value, Member>) -> Value {
    let members = union.into_iter().map(|(name, member)| match member {
        Member::Given(value) => (name, value),
        Member::Merged(members) => (name, rendered(members)),
    });
    Value::from(members.collect::<BTreeMap<_, _>>())
}

struct Steps(usize);

impl Steps {
    fn spend(&mut self, count: usize) -> Result<(), Failure> {
        self.0 += count + 1;
        match self.0 > MAX_STEPS {
            true => Err(Failure::Limit("a union of so much is refused".to_owned())),
            false => Ok(()),
        }
    }
}
