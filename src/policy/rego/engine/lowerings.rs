//! What the modules of one revision were lowered to. The next revision takes it over for each module that
//! is the same and among the same names: most of compiling is lowering.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use crate::policy::rego::lower::{self, Lowered, Names, OwnNames};
use crate::policy::rego::{RegoError, RegoModule};

/// Modules and what they were lowered to.
#[derive(Debug, Default)]
pub(super) struct Lowerings {
    /// Of all modules.
    names: Names,
    modules: HashMap<RegoModule, Lowering>,
}

/// What is known of one module.
#[derive(Debug, Clone)]
struct Lowering {
    own: Arc<OwnNames>,
    /// All that it was lowered by besides itself.
    names: Arc<Names>,
    lowered: Result<Arc<Lowered>, RegoError>,
}

// === impl Lowerings ===

impl Lowerings {
    /// Lowers modules, but those that were lowered before, here told by path, and those that are as they
    /// were in the revision `before`.
    pub(super) fn of(
        modules: &[RegoModule],
        mut lowered: HashMap<String, Lowered>,
        before: &Self,
    ) -> Self {
        let own = modules.iter().map(|module| before.own_names(module));
        let own: Vec<_> = own.collect();
        let texts: Vec<_> = modules.iter().map(|module| module.text.as_str()).collect();
        let names = Names::of_all(&texts, own.iter().map(AsRef::as_ref));
        let mut all = HashMap::with_capacity(modules.len());
        for (module, own) in modules.iter().zip(own) {
            let lowered = lowered.remove(&module.path);
            let lowering = before.lowering(module, own, &names, lowered);
            all.insert(module.clone(), lowering);
        }
        Self {
            names,
            modules: all,
        }
    }

    fn own_names(&self, module: &RegoModule) -> Arc<OwnNames> {
        match self.modules.get(module) {
            Some(known) => Arc::clone(&known.own),
            None => Arc::new(OwnNames::of(&module.text)),
        }
    }

    fn lowering(
        &self,
        module: &RegoModule,
        own: Arc<OwnNames>,
        names: &Names,
        lowered: Option<Lowered>,
    ) -> Lowering {
        let names = names.within(&own);
        let known = self.modules.get(module);
        let lowered = match (lowered, known) {
            (Some(lowered), _) => Ok(lowered),
            (None, Some(known)) if *known.names == names => return known.clone(),
            (None, _) => lower::module(&module.path, &module.text, module.v0, &names),
        };
        Lowering {
            own,
            names: Arc::new(names),
            lowered: lowered.map(Arc::new),
        }
    }

    /// Names of all modules.
    pub(super) fn names(&self) -> &Names {
        &self.names
    }

    /// What became of one of the modules, or why nothing did.
    pub(super) fn lowered(&self, module: &RegoModule) -> Option<Result<Arc<Lowered>, RegoError>> {
        let known = self.modules.get(module)?;
        Some(known.lowered.clone())
    }
}
