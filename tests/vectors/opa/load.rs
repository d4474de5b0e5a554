//! Policy that OPA loads or refuses: asked of `doorward validate`.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Files, Tally, name_of};
use crate::support::doorward;

pub(super) fn replay(suite: &Value) -> Tally {
    let mut tally = Tally {
        agree: 0,
        differ: BTreeMap::new(),
        refused: BTreeMap::new(),
    };
    for case in suite["cases"].as_array().unwrap() {
        let files = Files::of(case);
        let paths = files
            .paths
            .iter()
            .map(|path| files.folder.path().join(path));
        let mut command = doorward();
        let output = command.arg("validate").args(&files.flags).args(paths);
        let output = output.output().unwrap();
        let expected = &case["expectLoad"];
        let loads = Value::Bool(output.status.success());
        // Where OPA's server and its `check` disagree, either will do.
        if loads == expected["ok"] || loads == expected["checkOk"] {
            tally.agree += 1;
            continue;
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let why = format!("loads is {loads}, not {expected}: {}", said.trim());
        tally.differ.insert(name_of(case), why);
    }
    tally
}
