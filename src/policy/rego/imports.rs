//! What the imports of modules make of names.

use std::collections::HashMap;

use regorus::unstable::{Module, Ref};

use super::graph::Graph;
use super::module::path_of;

/// Imports by package and alias. The interpreter keeps them by package, so that those of one module
/// hold in all modules of its package; each of several is taken for possible.
#[derive(Debug, Default)]
pub(super) struct Imports(HashMap<Vec<String>, Aliases>);

/// Full paths by alias.
pub(super) type Aliases = HashMap<String, Vec<Vec<String>>>;

impl Imports {
    pub(super) fn of(modules: &[Ref<Module>]) -> Self {
        let mut imports: HashMap<_, Aliases> = HashMap::new();
        for module in modules {
            let package = path_of(&module.package.refr).unwrap_or_default();
            let aliases = imports.entry(package).or_default();
            for (alias, path) in imports_of(module) {
                let paths = aliases.entry(alias).or_default();
                if !paths.contains(&path) {
                    paths.push(path);
                }
            }
        }
        Self(imports)
    }

    /// Those that hold in a package.
    pub(super) fn within(&self, package: &[String]) -> Option<&Aliases> {
        self.0.get(package)
    }
}

/// A module's own imports: alias and full path.
pub(super) fn imports_of(module: &Module) -> impl Iterator<Item = (String, Vec<String>)> {
    module.imports.iter().filter_map(|import| {
        let path = path_of(&import.refr)?;
        let alias = match &import.r#as {
            Some(alias) => alias.text().to_owned(),
            None => path.last()?.clone(),
        };
        Some((alias, path))
    })
}

/// The path of the input that a path in a package stands for, after `input`; `None` if it stands for
/// something else, or may do so.
pub(super) fn input_path(
    path: &[String],
    package: &[String],
    imports: &Imports,
    graph: &Graph,
) -> Option<Vec<String>> {
    let (root, rest) = path.split_first()?;
    if root == "input" {
        return Some(rest.to_vec());
    }
    let rule: Vec<_> = package.iter().chain([root]).cloned().collect();
    match imports.within(package)?.get(root)?.as_slice() {
        [import] if !graph.has_branch(&rule) => {
            let (root, more) = import.split_first()?;
            (root == "input").then(|| [more, rest].concat())
        }
        _ => None,
    }
}
