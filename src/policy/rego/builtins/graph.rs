//! `graph.reachable_paths`: every way through a graph, within a bound, which their number exceeds
//! soon.

use std::collections::BTreeSet;

use regorus::Value;

use super::{Answer, Builtin, Failure, aggregates, any};

/// Most vertices that are visited, each as often as there are ways to it.
const MAX_VISITS: usize = 200_000;
/// Longest path.
const MAX_LENGTH: usize = 1_000;
/// Most vertices of all paths together.
const MAX_VERTICES: usize = 1_000_000;

pub(super) const BUILTINS: &[Builtin] =
    &[Builtin::pure("graph.reachable_paths", 2, reachable_paths)];

struct Walk<'a> {
    /// An object.
    graph: &'a Value,
    paths: BTreeSet<Value>,
    /// What was passed behind the same beginning.
    reached: BTreeSet<&'a Value>,
    visits: usize,
    vertices: usize,
}

fn reachable_paths(arguments: &[Value]) -> Answer {
    let graph = any(arguments, 0)?;
    if !matches!(graph, Value::Object(_)) {
        return Err(Failure::Failed("operand 1 must be object"));
    }
    let roots = any(arguments, 1)?;
    aggregates::members(roots)?;
    let mut walk = Walk {
        graph,
        paths: BTreeSet::new(),
        reached: BTreeSet::new(),
        visits: 0,
        vertices: 0,
    };
    for root in neighbours(roots) {
        let Some(edges) = edges_of(graph, root) else {
            continue;
        };
        match neighbours(edges) {
            edges if edges.is_empty() => walk.note(&[root])?,
            edges => {
                for neighbour in edges {
                    walk.reached = BTreeSet::from([root]);
                    walk.visit(neighbour, &mut vec![root])?;
                }
            }
        }
    }
    Ok(Value::from(walk.paths))
}

fn edges_of<'a>(graph: &'a Value, vertex: &Value) -> Option<&'a Value> {
    graph.as_object().ok()?.get(vertex)
}

/// Rule: what is no collection has no edges.
fn neighbours(edges: &Value) -> Vec<&Value> {
    match edges {
        Value::Array(edges) => edges.iter().collect(),
        Value::Set(edges) => aggregates::ordered(edges.iter()).collect(),
        _ => Vec::new(),
    }
}

impl<'a> Walk<'a> {
    /// Rule: a path ends where there are no edges, before what is not in the graph, and before a
    /// vertex that it, or one before it with the same beginning, has gone on from.
    fn visit(&mut self, vertex: &'a Value, path: &mut Vec<&'a Value>) -> Result<(), Failure> {
        self.visits += 1;
        if self.visits > MAX_VISITS || path.len() > MAX_LENGTH {
            return Err(too_many());
        }
        let Some(edges) = edges_of(self.graph, vertex) else {
            return self.note(path);
        };
        path.push(vertex);
        let edges = neighbours(edges);
        if edges.is_empty() {
            self.note(path)?;
        }
        for neighbour in edges {
            if self.reached.contains(neighbour) {
                self.note(path)?;
            } else {
                self.reached.insert(vertex);
                self.visit(neighbour, path)?;
            }
        }
        path.pop();
        Ok(())
    }

    fn note(&mut self, path: &[&Value]) -> Result<(), Failure> {
        self.vertices += path.len();
        if self.vertices > MAX_VERTICES {
            return Err(too_many());
        }
        let path: Vec<_> = path.iter().copied().cloned().collect();
        self.paths.insert(Value::from(path));
        Ok(())
    }
}

fn too_many() -> Failure {
    Failure::Limit("a graph with so many or so long paths is refused".to_owned())
}
