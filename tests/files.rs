//! Files of policy that change while the server runs: taken over whole once they stand still, refused
//! without harm if they cannot be used, and never lost by accident.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::bundle::constant;
use crate::support::check::http_check;
use crate::support::{Checks, Options, Server, eventually, http};

/// Rego that allows one path.
fn allowing(path: &str) -> String {
    format!("package envoy.authz\n\nallow if input.attributes.request.http.path == \"{path}\"\n")
}

fn policy(name: &str, rules: &str) -> String {
    format!(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n\
         metadata: {{ name: {name} }}\nspec: {{ rules: {rules} }}\n"
    )
}

/// A server that looks at a folder often, or on SIGHUP only.
fn serve(folder: &Path, is_watched: bool) -> Server {
    Server::with_config(&format!(
        "policies: [{}]\nwatch: {{ enabled: {is_watched}, interval: 100ms }}\n",
        folder.display()
    ))
}

fn status(server: &Server) -> Value {
    http::get(&server.url("/v1/status")).expect(200).json()
}

fn snapshot(server: &Server) -> u64 {
    status(server)["snapshot"].as_u64().unwrap()
}

fn error(server: &Server) -> Option<String> {
    let error = status(server)["files"]["error"].clone();
    error["errors"][0]["message"].as_str().map(str::to_owned)
}

async fn revision(server: &Server, number: u64) {
    eventually(&format!("revision {number}"), || snapshot(server) == number).await;
}

async fn refused(server: &Server, why: &str) {
    let is_told = || error(server).is_some_and(|error| error.contains(why));
    eventually(&format!("`{why}` is told"), is_told).await;
}

async fn allows(checks: &Checks, path: &str) -> bool {
    checks.check(&http_check("GET", path, &[])).await.allows()
}

fn times(server: &Server, text: &str) -> usize {
    server.said().matches(text).count()
}

fn metric(server: &Server, line: &str) -> bool {
    let metrics = http::get(&server.url("/metrics")).body;
    metrics.lines().any(|found| found == line)
}

#[tokio::test]
async fn a_change_is_a_revision_and_a_bad_one_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("p.rego");
    fs::write(&file, allowing("/one")).unwrap();
    let server = serve(folder.path(), true);
    let checks = server.checks().await;
    assert_eq!(server.revision, 1);
    assert!(allows(&checks, "/one").await);

    fs::write(&file, allowing("/two")).unwrap();
    revision(&server, 2).await;
    assert!(allows(&checks, "/two").await && !allows(&checks, "/one").await);

    fs::write(&file, "package envoy.authz\n\nallow if {\n").unwrap();
    refused(&server, "").await;
    assert_eq!(snapshot(&server), 2);
    assert!(allows(&checks, "/two").await);
    assert!(metric(&server, "doorward_policy_files_refused 1"));
    let row = "doorward_reloads_total{what=\"policies\",result=\"failure\"} 1";
    assert!(metric(&server, row));
    // Another look at the same tells nothing more, and a push goes on working beside it.
    server.signal("HUP");
    let text = policy("pushed", "[{}]");
    http::put(&server.url("/v1/resources"), text.as_bytes()).expect(200);
    assert_eq!(snapshot(&server), 3);
    assert_eq!(times(&server, "FILES OF POLICY CANNOT BE USED"), 1);

    fs::write(&file, allowing("/four")).unwrap();
    revision(&server, 4).await;
    assert!(allows(&checks, "/four").await);
    assert_eq!(error(&server), None);
    assert!(metric(&server, "doorward_policy_files_refused 0"));
}

/// Files have no caller: what they change, or would, is the audit log's under `file`, once.
#[tokio::test]
async fn each_reload_is_recorded() {
    for is_watched in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let other = tempfile::tempdir().unwrap();
        // As a whole, so that no half of it is ever read.
        let write = |text: &str| {
            let new = other.path().join("new");
            fs::write(&new, text).unwrap();
            fs::rename(&new, folder.path().join("p.rego")).unwrap();
        };
        write(&allowing("/one"));
        let server = serve(folder.path(), is_watched);
        let look = || {
            if !is_watched {
                server.signal("HUP");
            }
        };
        write(&allowing("/two"));
        look();
        revision(&server, 2).await;
        write("package envoy.authz\n\nallow if nope(1)\n");
        look();
        refused(&server, "undefined function nope").await;
        // Another look at the same is no other attempt.
        server.signal("HUP");
        write(&allowing("/three"));
        look();
        revision(&server, 3).await;
        let log = http::get(&server.url("/v1/audit")).expect(200).json();
        assert_eq!(log["chain"]["intact"], true);
        let mut records = log["records"].as_array().unwrap().clone();
        for record in &mut records {
            let members = record.as_object_mut().unwrap();
            assert!(
                members
                    .remove("time")
                    .unwrap()
                    .as_str()
                    .unwrap()
                    .ends_with('Z')
            );
            assert!(!members.contains_key("address"), "{members:?}");
            members.remove("error").inspect(|error| {
                assert!(error.as_str().unwrap().contains("undefined function nope"));
            });
        }
        let row = |number: u64, who: &str, action: &str, old: u64, new: Option<u64>| {
            let result = if new.is_some() { "success" } else { "failure" };
            json!({
                "number": number, "author": who, "action": action, "target": "files",
                "old_revision": old, "new_revision": new, "result": result,
            })
        };
        let expected = [
            row(4, "file", "reload", 2, Some(3)),
            row(3, "file", "reload", 2, None),
            row(2, "file", "reload", 1, Some(2)),
            row(1, "doorward", "start", 0, Some(1)),
        ];
        assert_eq!(records, expected, "watched: {is_watched}");
        // The history tells the same of each revision.
        let history = http::get(&server.url("/v1/revisions")).expect(200).json();
        let authors = history["revisions"].as_array().unwrap().iter();
        let authors: Vec<_> = authors.map(|revision| revision["author"].clone()).collect();
        assert_eq!(authors, ["file", "file", "doorward"]);
    }
}

/// A file written anew with the same content, as tools that copy do it, is no change.
#[tokio::test]
async fn the_same_content_is_no_revision() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("p.rego");
    fs::write(&file, allowing("/one")).unwrap();
    let server = serve(folder.path(), true);
    fs::remove_file(&file).unwrap();
    fs::write(&file, allowing("/one")).unwrap();
    server.signal("HUP");
    fs::write(folder.path().join("p.yaml"), policy("a", "[{}]")).unwrap();
    revision(&server, 2).await;
    fs::write(folder.path().join("notes.txt"), "of no effect").unwrap();
    fs::write(folder.path().join("q.yaml"), policy("b", "[{}]")).unwrap();
    revision(&server, 3).await;
}

/// Kubernetes replaces the files of a ConfigMap by one link, all at once.
#[tokio::test]
async fn a_config_map_is_followed() {
    let volume = tempfile::tempdir().unwrap();
    let path = |name: &str| volume.path().join(name);
    let write = |version: &str, allowed: &str| {
        fs::create_dir(path(version)).unwrap();
        let other = allowing(allowed).replace("envoy.authz", "other");
        fs::write(path(version).join("p.rego"), allowing(allowed)).unwrap();
        fs::write(path(version).join("other.rego"), other).unwrap();
    };
    write("..1", "/one");
    symlink("..1", path("..data")).unwrap();
    for file in ["p.rego", "other.rego"] {
        symlink(Path::new("..data").join(file), path(file)).unwrap();
    }
    let server = serve(volume.path(), true);
    let checks = server.checks().await;
    assert!(allows(&checks, "/one").await);
    for (version, allowed, number) in [("..2", "/two", 2), ("..3", "/three", 3)] {
        write(version, allowed);
        symlink(version, path("..data_tmp")).unwrap();
        fs::rename(path("..data_tmp"), path("..data")).unwrap();
        revision(&server, number).await;
        assert!(allows(&checks, allowed).await, "{allowed}");
    }
    // Back to a folder that was there before.
    fs::remove_file(path("..data")).unwrap();
    symlink("..1", path("..data")).unwrap();
    revision(&server, 4).await;
    assert!(allows(&checks, "/one").await);
}

#[tokio::test]
async fn policy_does_not_end_by_accident() {
    let mount = tempfile::tempdir().unwrap();
    let folder = mount.path().join("policy");
    let away = mount.path().join("away");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("p.rego"), allowing("/one")).unwrap();
    fs::write(folder.join("a.yaml"), policy("a", "[{}]")).unwrap();
    let server = serve(&folder, true);
    let checks = server.checks().await;
    // The whole volume is gone; an empty folder is left of it; one file was cut off.
    fs::rename(&folder, &away).unwrap();
    refused(&server, "held policy and holds none any more").await;
    fs::create_dir(&folder).unwrap();
    server.signal("HUP");
    refused(&server, "held policy and holds none any more").await;
    fs::remove_dir(&folder).unwrap();
    fs::rename(&away, &folder).unwrap();
    eventually("the error is gone", || error(&server).is_none()).await;
    fs::write(folder.join("a.yaml"), "").unwrap();
    refused(&server, "a.yaml is empty, and was not").await;
    assert!(allows(&checks, "/one").await);
    assert_eq!(snapshot(&server), 1);
    http::get(&server.url("/readyz")).expect(200);
    // One of several files may go.
    fs::remove_file(folder.join("a.yaml")).unwrap();
    revision(&server, 2).await;
    assert_eq!(error(&server), None);
}

/// A folder below, that is a mount point or a link, is as good as a path of its own.
#[tokio::test]
async fn policy_below_does_not_end_by_accident() {
    let volume = tempfile::tempdir().unwrap();
    let folder = volume.path().join("policy");
    fs::create_dir_all(folder.join("mounted/deep")).unwrap();
    fs::create_dir_all(volume.path().join("linked")).unwrap();
    symlink("../linked", folder.join("link")).unwrap();
    fs::write(folder.join("p.rego"), allowing("/one")).unwrap();
    fs::write(folder.join("mounted/deep/a.yaml"), policy("a", "[{}]")).unwrap();
    fs::write(folder.join("link/b.yaml"), policy("b", "[{}]")).unwrap();
    let server = serve(&folder, true);
    let is_good = || eventually("the error is gone", || error(&server).is_none());
    let swap = |from: &Path, to: &Path| fs::rename(from, to).unwrap();
    let away = volume.path().join("away");

    // What was mounted is not there any more, and its mount point is.
    swap(&folder.join("mounted"), &away);
    fs::create_dir(folder.join("mounted")).unwrap();
    refused(&server, "mounted held policy and holds none any more").await;
    fs::remove_dir(folder.join("mounted")).unwrap();
    swap(&away, &folder.join("mounted"));
    is_good().await;
    // The volume of a link is gone.
    swap(&volume.path().join("linked"), &away);
    refused(&server, "is a link that leads nowhere").await;
    let said = Server::try_with(Options {
        config: format!("policies: [{}]\n", folder.display()),
        ..Options::default()
    });
    let said = said.err().expect("it started");
    assert!(said.contains("leads nowhere"), "{said}");
    swap(&away, &volume.path().join("linked"));
    is_good().await;
    assert_eq!(snapshot(&server), 1);
    // Who removes a folder or a link means it.
    fs::remove_dir_all(folder.join("mounted")).unwrap();
    revision(&server, 2).await;
    fs::remove_file(folder.join("link")).unwrap();
    revision(&server, 3).await;
    assert_eq!(error(&server), None);
}

/// A start without the files would serve what was pushed alone.
#[tokio::test]
async fn a_start_without_the_files_of_policy_is_refused() {
    let mount = tempfile::tempdir().unwrap();
    let folder = mount.path().join("policy");
    fs::create_dir(&folder).unwrap();
    let deny = policy("deny", "[{}]").replace("spec: {", "spec: { action: DENY,");
    fs::write(folder.join("deny.yaml"), deny).unwrap();
    let start = |settings: String, data| {
        Server::try_with(Options {
            config: settings,
            data,
            ..Options::default()
        })
    };
    let policies = format!("policies: [{}]\n", folder.display());
    let server = start(policies.clone(), None).unwrap();
    let text = policy("allow", "[{}]");
    http::put(&server.url("/v1/resources"), text.as_bytes()).expect(200);
    assert!(!allows(&server.checks().await, "/").await);
    let data = Arc::clone(&server.data);
    drop(server);
    fs::rename(&folder, mount.path().join("away")).unwrap();
    fs::create_dir(&folder).unwrap();
    let bundle = format!("bundles: {{ b: {{ path: {} }} }}\n", folder.display());
    for settings in [policies.clone(), bundle] {
        let said = start(settings, Some(Arc::clone(&data)));
        let said = said.err().expect("it started");
        assert!(said.contains("holds no policy"), "{said}");
    }
    fs::remove_dir(&folder).unwrap();
    fs::rename(mount.path().join("away"), &folder).unwrap();

    // The same files again are no revision; others are one, and none at all are one as well.
    let revision = |settings: &str| {
        let server = start(settings.to_owned(), Some(Arc::clone(&data))).unwrap();
        let newest = http::get(&server.url("/v1/revisions")).json();
        let newest = &newest["revisions"][0];
        (server.revision, newest["changes"][0]["result"].clone())
    };
    assert_eq!(revision(&policies).0, 2);
    fs::write(folder.join("more.yaml"), policy("more", "[{}]")).unwrap();
    assert_eq!(revision(&policies), (3, "updated".into()));
    assert_eq!(revision(""), (4, "deleted".into()));
    assert_eq!(revision(""), (4, "deleted".into()));
    assert_eq!(revision(&policies), (5, "created".into()));
}

#[tokio::test]
async fn files_are_read_on_sighup_where_they_are_not_watched() {
    let folder = tempfile::tempdir().unwrap();
    let bundle = folder.path().join("bundle.tar.gz");
    fs::write(&bundle, constant("one", "false")).unwrap();
    let server = Server::with_config(&format!(
        "bundles: {{ local: {{ path: {} }} }}\nwatch: {{ enabled: false }}\n",
        bundle.display()
    ));
    let checks = server.checks().await;
    assert!(!allows(&checks, "/").await);
    fs::write(&bundle, constant("two", "true")).unwrap();
    assert_eq!(snapshot(&server), 1);
    server.signal("HUP");
    revision(&server, 2).await;
    assert!(allows(&checks, "/").await);
    let shown = http::get(&server.url("/v1/bundles/local")).json();
    assert_eq!(shown["revision"], "two");
    fs::write(&bundle, "no archive").unwrap();
    server.signal("HUP");
    refused(&server, "gzip").await;
    assert_eq!(snapshot(&server), 2);
}

/// A name that was pushed is not taken over by a file, and the file is taken once the name is free.
#[tokio::test]
async fn a_file_waits_for_what_was_pushed() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.yaml"), policy("a", "[{}]")).unwrap();
    let server = serve(folder.path(), true);
    let pushed = policy("b", "[]");
    http::put(&server.url("/v1/resources"), pushed.as_bytes()).expect(200);
    fs::write(folder.path().join("b.yaml"), policy("b", "[{}]")).unwrap();
    refused(&server, "was also pushed over the API").await;
    assert_eq!(snapshot(&server), 2);
    http::delete(&server.url("/v1/resources/AuthorizationPolicy/default/b")).expect(200);
    revision(&server, 4).await;
    let listed = http::get(&server.url("/v1/resources?name=b")).json();
    assert_eq!(listed["resources"][0]["owner"], "file");
}

/// Nothing that is no plain file is read, as that might never end.
#[tokio::test]
async fn a_pipe_is_refused() {
    let folder: TempDir = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("p.rego"), allowing("/one")).unwrap();
    let server = serve(folder.path(), true);
    let pipe = folder.path().join("q.rego");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    refused(&server, "is not a regular file").await;
    fs::remove_file(&pipe).unwrap();
    eventually("the error is gone", || error(&server).is_none()).await;
    assert_eq!(snapshot(&server), 1);
}
