//! The form of a cases file, and all that can be wrong with one, each with its place.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::expect::Expect;
use super::known::Known;
use super::request::{
    ConnectionForm, HttpForm, Wrong, add_extensions, add_workload, is_header_name,
};
use super::{Case, LoadError, Suite};
use crate::activation::{ActivationError, ActivationSettings, FilePolicies, FileSources};
use crate::attributes::Attributes;
use crate::bundle::BundleSettings;
use crate::cache;
use crate::ext_authz::from_json;
use crate::pdp::Pdp;
use crate::policy::config::{
    Deadlines, EntrypointConfig, EvaluationLimit, MeshConfig, RegoConfig, settings,
};
use crate::policy::native::{KnownWorkload, Workload, WorkloadConfig, WorkloadSources};
use crate::policy::{OnError, PolicySettings};
use crate::units::Span;
use crate::yaml::{Document, Problem};

/// Longest a Rego evaluation may take. A test is about the verdict; the time that `serve` allows
/// would make it depend on how busy the machine is.
const EVALUATION_LIMIT: Duration = Duration::from_secs(5);

/// A cases file. Members that the configuration has too mean the same here.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileForm {
    /// Files and folders beside this file; its own folder if not given.
    #[serde(default = "own_folder")]
    policies: Vec<PathBuf>,
    #[serde(default)]
    bundles: BTreeMap<String, BundleForm>,
    #[serde(default)]
    mesh: MeshConfig,
    #[serde(default)]
    rego: RegoForm,
    #[serde(default)]
    workloads: Vec<KnownWorkload>,
    /// Workload of cases that name none: short for `mesh.default_workload`.
    workload: Option<WorkloadConfig>,
    /// Time of cases that name none.
    time: Option<jiff::Timestamp>,
    /// Read one by one, so that a mistake in one does not hide those in others.
    #[serde(default)]
    cases: Vec<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RegoForm {
    entrypoint: Option<EntrypointConfig>,
    providers: BTreeMap<String, String>,
    on_error: OnError,
    /// The flag of `serve`.
    v0_compatible: bool,
}

/// A bundle that the cases are about. Whether it is signed is no matter of theirs.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BundleForm {
    path: PathBuf,
}

/// One case.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseForm {
    name: String,
    request: Option<HttpForm>,
    connection: Option<ConnectionForm>,
    /// protojson of `envoy.service.auth.v3.CheckRequest`.
    check_request: Option<Value>,
    workload: Option<WorkloadConfig>,
    /// What else a proxy's route tells.
    #[serde(default)]
    context_extensions: BTreeMap<String, String>,
    time: Option<jiff::Timestamp>,
    expect: Option<Expect>,
}

fn own_folder() -> Vec<PathBuf> {
    vec![PathBuf::from(".")]
}

/// Reads a cases file and everything it names, or tells all that is wrong.
pub(super) fn load(path: &Path) -> Result<Suite, LoadError> {
    let file = path.display().to_string();
    let fail = |why: String| LoadError(vec![format!("{file}:{why}")]);
    let text = std::fs::read_to_string(path).map_err(|error| fail(format!(" {error}")))?;
    let documents = Document::parse_stream(&text).map_err(|problem| fail(problem.to_string()))?;
    let document = match <[Document; 1]>::try_from(documents) {
        Ok([document]) => document,
        Err(documents) if documents.is_empty() => return Err(fail(" holds no case".to_owned())),
        Err(_) => return Err(fail(" holds more than one document".to_owned())),
    };
    let form: FileForm = read(&document).map_err(|problem| fail(problem.to_string()))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut loader = Loader {
        file,
        folder: tidy(folder),
        document,
        errors: Vec::new(),
    };
    let suite = loader.suite(form);
    match suite {
        Some(suite) if loader.errors.is_empty() => Ok(suite),
        _ => Err(LoadError(loader.errors)),
    }
}

/// Reads a mapping. A list would be read as well, its items in the order of the type's fields.
fn read<T: DeserializeOwned>(document: &Document) -> Result<T, Problem> {
    if document.value.is_object() {
        document.read()
    } else {
        Err(document.problem("", "is not a mapping of members to values"))
    }
}

/// What a loader goes by, and all errors so far.
struct Loader {
    file: String,
    folder: PathBuf,
    document: Document,
    errors: Vec<String>,
}

impl Loader {
    fn problem(&mut self, problem: &Problem) {
        let gap = if problem.mark.is_some() { "" } else { " " };
        self.errors.push(format!("{}:{gap}{problem}", self.file));
    }

    fn wrong(&mut self, path: &str, why: impl Into<String>) {
        let problem = self.document.problem(path, why);
        self.problem(&problem);
    }

    fn suite(&mut self, mut form: FileForm) -> Option<Suite> {
        let case_values = std::mem::take(&mut form.cases);
        let sources = self.sources(&form);
        let settings = self.settings(&form);
        let cases = self.cases(&case_values, form.time, &settings.workloads);
        // What the files hold is told even if the cases are wrong, but not if files are missing.
        let bundles = BundleSettings {
            v0: form.rego.v0_compatible,
            ..BundleSettings::default()
        };
        let policies = self.policies(&sources?, &bundles)?;
        let settings = ActivationSettings {
            bundles,
            policy: settings,
            cache: cache::Config::default().into(),
        };
        let compiled = policies.compile(&settings);
        let compiled = compiled.map_err(|error| self.activation(error)).ok()?;
        if compiled.is_empty() {
            self.wrong("policies", "there is no policy in what this file is about");
        }
        let known = Known::new(policies.objects(), &compiled);
        for (index, case) in &cases {
            for (member, why) in known.unknown(&case.expect) {
                self.wrong(&format!("cases[{index}].expect.{member}"), why);
            }
        }
        Some(Suite {
            file: self.file.clone(),
            policies,
            settings,
            pdp: Pdp::over(compiled),
            cases: cases.into_iter().map(|(_, case)| case).collect(),
        })
    }

    /// Files and bundles, all of them there.
    fn sources(&mut self, form: &FileForm) -> Option<FileSources> {
        let known_errors = self.errors.len();
        let mut paths = Vec::new();
        for (index, path) in form.policies.iter().enumerate() {
            paths.extend(self.beside(&format!("policies[{index}]"), path));
        }
        let mut bundles = Vec::new();
        for (name, source) in &form.bundles {
            let path = self.beside(&format!("bundles.{name}.path"), &source.path);
            bundles.extend(path.map(|path| (name.clone(), path)));
        }
        (self.errors.len() == known_errors).then_some(FileSources {
            paths,
            bundles,
            downloads: Vec::new(),
        })
    }

    /// A path beside the cases file.
    fn beside(&mut self, member: &str, path: &Path) -> Option<PathBuf> {
        if path.is_absolute() {
            self.wrong(member, "is absolute; name it relative to this file");
            return None;
        }
        let path = tidy(&self.folder.join(path));
        if !path.exists() {
            self.wrong(member, format!("there is no {}", path.display()));
            return None;
        }
        Some(path)
    }

    fn settings(&mut self, form: &FileForm) -> PolicySettings {
        for (path, why) in form.mesh.problems() {
            self.wrong(path, why);
        }
        let mut mesh = form.mesh.clone();
        if let Some(workload) = &form.workload {
            if mesh.default_workload.is_some() {
                self.wrong(
                    "workload",
                    "stands beside `mesh.default_workload`; give one of the two",
                );
            }
            mesh.default_workload = Some(workload.clone());
        }
        let rego = RegoConfig {
            entrypoint: form.rego.entrypoint.clone(),
            providers: form.rego.providers.clone(),
            evaluation_limit: EvaluationLimit(Span(EVALUATION_LIMIT)),
            on_error: form.rego.on_error,
            // It loads, and what is asked of others at last has no answer.
            http_send: true,
            ..RegoConfig::default()
        };
        // No door, and so no deadline.
        let deadlines = Deadlines {
            check: Duration::MAX,
            outside: Duration::ZERO,
        };
        settings(&mesh, &rego, &form.workloads, deadlines)
    }

    fn policies(
        &mut self,
        sources: &FileSources,
        bundles: &BundleSettings,
    ) -> Option<FilePolicies> {
        let policies = FilePolicies::load(sources, bundles);
        policies.map_err(|error| self.activation(error)).ok()
    }

    fn activation(&mut self, error: ActivationError) {
        match error {
            ActivationError::Invalid(errors) => {
                for error in errors {
                    // What has no place of its own is told of this file.
                    let place = match error.location {
                        Some(_) => String::new(),
                        None => format!("{}: ", self.file),
                    };
                    self.errors.push(format!("{place}{error}"));
                }
            }
            other => self.errors.push(format!("{}: {other}", self.file)),
        }
    }

    /// The cases, each with its place in the list.
    fn cases(
        &mut self,
        values: &[Value],
        time: Option<jiff::Timestamp>,
        workloads: &WorkloadSources,
    ) -> Vec<(usize, Case)> {
        if values.is_empty() {
            self.wrong("cases", "there is no case");
        }
        let mut names = BTreeSet::new();
        let mut cases = Vec::new();
        for (index, value) in values.iter().enumerate() {
            let document = self.document.part(&format!("cases[{index}]"), value);
            let read = CaseForm::read(&document).and_then(|form| {
                if !names.insert(form.name.clone()) {
                    let why = format!("there is a case `{}` already", form.name);
                    return Err(document.problem("name", why));
                }
                let case = form.into_case(&self.folder, time, workloads);
                case.map_err(|(member, why)| document.problem(member, why))
            });
            match read {
                Ok(case) => cases.push((index, case)),
                Err(problem) => self.problem(&problem),
            }
        }
        cases
    }
}

/// A path without `.` in it; the folder one is in for an empty one.
fn tidy(path: &Path) -> PathBuf {
    let parts = path.components();
    let tidy: PathBuf = parts.filter(|part| *part != Component::CurDir).collect();
    if tidy.as_os_str().is_empty() {
        PathBuf::from(".")
    } else {
        tidy
    }
}

// === impl CaseForm ===

impl CaseForm {
    fn read(document: &Document) -> Result<Self, Problem> {
        let form: Self = read(document)?;
        if form.name.is_empty() || form.name.contains(char::is_control) {
            return Err(document.problem("name", "is not one line of text"));
        }
        Ok(form)
    }

    fn into_case(
        self,
        folder: &Path,
        time: Option<jiff::Timestamp>,
        workloads: &WorkloadSources,
    ) -> Result<Case, Wrong> {
        let expect = self.expect.ok_or_else(|| {
            let why = format!(
                "case `{}` has no `expect`: without `expect: {{ effect: … }}` it tests nothing",
                self.name
            );
            ("", why)
        })?;
        check_expect(&expect)?;
        let mut attributes = attributes(self.request, self.connection, self.check_request, folder)?;
        add_extensions(&mut attributes, self.context_extensions)?;
        if let Some(workload) = self.workload {
            add_workload(&mut attributes, workload)?;
            Workload::of(&attributes, workloads).map_err(|why| ("workload", why))?;
        }
        let time_ns = match self.time.or(time) {
            Some(time) => Some(
                i64::try_from(time.as_nanosecond())
                    .map_err(|_| ("time", "is too far away".to_owned()))?,
            ),
            None => None,
        };
        Ok(Case {
            name: self.name,
            attributes,
            time_ns,
            expect,
        })
    }
}

fn attributes(
    request: Option<HttpForm>,
    connection: Option<ConnectionForm>,
    check_request: Option<Value>,
    folder: &Path,
) -> Result<Attributes, Wrong> {
    match (request, connection, check_request) {
        (Some(request), None, None) => request.into_attributes(folder),
        (None, Some(connection), None) => connection.into_attributes(),
        (None, None, Some(json)) => from_json(&json).map_err(|why| ("check_request", why)),
        _ => {
            let why = "a case has one of `request`, `connection` and `check_request`";
            Err(("", why.to_owned()))
        }
    }
}

fn check_expect(expect: &Expect) -> Result<(), Wrong> {
    let set = expect.headers.iter().flatten();
    let names = set.map(|(name, _)| ("expect.headers", name));
    let removed = expect.removed_headers.iter().flatten();
    let removed = removed.map(|name| ("expect.removed_headers", name));
    for (member, name) in names.chain(removed) {
        if !is_header_name(name) {
            return Err((member, format!("`{name}` is not a header name")));
        }
    }
    match expect.contradiction() {
        Some(wrong) => Err(wrong),
        None => Ok(()),
    }
}
