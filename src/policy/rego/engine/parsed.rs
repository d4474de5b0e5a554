//! Modules in the interpreter, and where errors that it finds in them are in the texts they were
//! written in. What is done with them together is left to `engine`.

use std::collections::HashMap;
use std::sync::Arc;

use regorus::unstable::{Module, Ref};

use super::empty;
use super::lowerings::Lowerings;
use crate::policy::rego::lower::{self, Lowered};
use crate::policy::rego::module::package_of;
use crate::policy::rego::{RegoError, RegoModule, guard, output};

/// Modules that were parsed, by path.
pub(super) struct Parsed(HashMap<String, Arc<Lowered>>);

// === impl Parsed ===

impl Parsed {
    /// Parses modules as they were lowered, and adds them to the interpreter.
    pub(super) fn add(
        engine: &mut regorus::Engine,
        modules: &[RegoModule],
        lowerings: &Lowerings,
    ) -> Result<Self, Vec<RegoError>> {
        let mut parsed = Self(HashMap::new());
        let mut errors = Vec::new();
        for module in modules {
            let lowered = lowerings.lowered(module).into_iter();
            let added = lowered.map(|lowered| parsed.module(engine, module, lowered?));
            errors.extend(added.filter_map(Result::err));
        }
        if errors.is_empty() {
            Ok(parsed)
        } else {
            Err(parsed.locate(errors))
        }
    }

    fn module(
        &mut self,
        engine: &mut regorus::Engine,
        module: &RegoModule,
        lowered: Arc<Lowered>,
    ) -> Result<(), RegoError> {
        let path = &module.path;
        engine.set_rego_v0(module.v0);
        let before = engine.get_modules().len();
        let mut result = Ok(());
        for text in &lowered.texts {
            let text = output::lower(text).into_owned();
            result = guard::check_module(path, &text).and_then(|()| {
                let parsed = engine.add_policy(path.clone(), text);
                let error = |error| RegoError::from_engine("rego_parse_error", path, &error);
                parsed.map(drop).map_err(error)
            });
            if result.is_err() {
                break;
            }
        }
        self.0.insert(path.clone(), lowered);
        result?;
        let compiled = engine.get_modules().get(before);
        check_package(module, compiled.and_then(|compiled| package_of(compiled)))
    }

    /// The interpreter that evaluates: parameters, patterns and operators are as OPA has them, and any
    /// function and built-in can be replaced in it.
    pub(super) fn evaluating(
        &self,
        engine: regorus::Engine,
    ) -> Result<regorus::Engine, Vec<RegoError>> {
        let mut engine = engine;
        let steps = [
            lower::parameters,
            lower::patterns,
            lower::operators,
            lower::prints,
            lower::functions,
            lower::replaceable,
        ];
        for written in steps {
            let modules = written(engine.get_modules());
            let modules = modules.map_err(|error| self.locate(vec![error]))?;
            if let Some(modules) = modules {
                engine = self.written(modules)?;
            }
        }
        Ok(engine)
    }

    /// Another interpreter with the same modules, parsed again: it shares nothing with theirs.
    pub(super) fn again(&self, modules: &[Ref<Module>]) -> Result<regorus::Engine, Vec<RegoError>> {
        let texts = modules
            .iter()
            .map(|module| lower::edited(module, Vec::new()));
        let texts = texts.collect::<Result<_, _>>();
        self.written(texts.map_err(|error| vec![error])?)
    }

    fn written(&self, modules: Vec<RegoModule>) -> Result<regorus::Engine, Vec<RegoError>> {
        let mut engine = empty()?;
        for RegoModule { path, text, v0 } in modules {
            engine.set_rego_v0(v0);
            let added = guard::check_module(&path, &text).and_then(|()| {
                let added = engine.add_policy(path.clone(), text);
                added.map_err(|error| RegoError::from_engine("rego_parse_error", &path, &error))
            });
            added.map_err(|error| self.locate(vec![error]))?;
        }
        Ok(engine)
    }

    /// Corrects the places of errors: those of the original texts.
    pub(super) fn locate(&self, mut errors: Vec<RegoError>) -> Vec<RegoError> {
        for error in &mut errors {
            if let Some(lowered) = self.0.get(&error.file) {
                lowered.locate(error);
            }
        }
        errors
    }
}

/// Rule: a module is compiled into the package by which it was told whose it is, or not at all.
fn check_package(
    module: &RegoModule,
    compiled: Option<(Vec<String>, u64)>,
) -> Result<(), RegoError> {
    let told = module.package().map(|(package, _)| package);
    if told.is_some() && told == compiled.map(|(package, _)| package) {
        return Ok(());
    }
    Err(RegoError {
        code: "rego_parse_error",
        message: "the package cannot be told".to_owned(),
        file: module.path.clone(),
        row: 1,
        col: 1,
    })
}
