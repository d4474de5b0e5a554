//! Signed bundles: what counts as signed, by whom and for what, and that nothing else gets in.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::*;
use crate::identity::JwsAlgorithm;

pub(super) const SECRET: &str = "a secret of tests";
const FILES: [(&str, &str); 5] = [
    (
        ".manifest",
        "{\"revision\": \"1\", \"roots\": [\"p\", \"d\"]}",
    ),
    ("p.rego", "package p\n\nallow := data.d.x == 1\n"),
    (
        "d/data.json",
        "{\"x\": 1, \"y\": [1.50, \"a\\u00e9\", null]}",
    ),
    ("d/e/data.yaml", "z: 2.5\nlist: [a, true]\n"),
    ("README", "read me"),
];

fn files(list: &[(&str, &str)]) -> Vec<BundleFile> {
    let file = |(path, text): &(&str, &str)| BundleFile {
        path: (*path).to_owned(),
        bytes: text.as_bytes().to_vec(),
    };
    list.iter().map(file).collect()
}

pub(super) fn hmac() -> SigningKey {
    SigningKey::new(JwsAlgorithm::Hs256, SECRET).unwrap()
}

fn claims(more: &Value) -> Claims {
    Claims {
        key_id: None,
        more: more.as_object().cloned().unwrap(),
    }
}

/// The files and their signature.
pub(super) fn signed(key: &SigningKey, claims: &Claims) -> Vec<BundleFile> {
    let mut files = files(&FILES);
    let bytes = sign(&files, key, claims).unwrap();
    let path = SIGNATURES.to_owned();
    files.push(BundleFile { path, bytes });
    files
}

fn rules(mode: Mode, keys: &[(&str, VerificationKey)]) -> Verification {
    let keys: BTreeMap<_, _> = keys
        .iter()
        .map(|(id, key)| ((*id).to_owned(), key.clone()))
        .collect();
    Verification {
        mode,
        keys: Arc::new(keys),
        ..Verification::default()
    }
}

pub(super) fn secret_rules(mode: Mode) -> Verification {
    let key = VerificationKey::new(JwsAlgorithm::Hs256, SECRET, None).unwrap();
    rules(mode, &[("only", key)])
}

pub(super) fn read_by(archive: &[u8], rules: Verification) -> Result<Bundle, BundleError> {
    let settings = BundleSettings {
        verification: VerificationSettings::for_all(rules),
        ..BundleSettings::default()
    };
    Bundle::from_archive("b", archive, &settings)
}

pub(super) fn pack(files: &[BundleFile]) -> Vec<u8> {
    let text = |file: &BundleFile| String::from_utf8(file.bytes.clone()).unwrap();
    let texts: Vec<_> = files
        .iter()
        .map(|file| (file.path.clone(), text(file)))
        .collect();
    let texts: Vec<_> = texts
        .iter()
        .map(|(path, text)| (&**path, &**text))
        .collect();
    archive(&texts)
}

fn verify(files: &[BundleFile], rules: Verification) -> Result<(), String> {
    let read = read_by(&pack(files), rules);
    read.map(drop).map_err(|error| error.to_string())
}

#[test]
fn every_algorithm_signs_and_verifies() {
    use JwsAlgorithm::*;
    let pair = |algorithm| {
        let pair = rcgen::KeyPair::generate_for(algorithm).unwrap();
        (pair.serialize_pem(), pair.public_key_pem())
    };
    let rsa = pair(&rcgen::PKCS_RSA_SHA256);
    let secret = (SECRET.to_owned(), SECRET.to_owned());
    let rows = [
        (vec![Hs256, Hs384, Hs512], secret),
        (vec![Rs256, Rs384, Rs512, Ps256, Ps384, Ps512], rsa),
        (vec![Es256], pair(&rcgen::PKCS_ECDSA_P256_SHA256)),
        (vec![Es384], pair(&rcgen::PKCS_ECDSA_P384_SHA384)),
        (vec![Es512], pair(&rcgen::PKCS_ECDSA_P521_SHA512)),
        (vec![EdDsa], pair(&rcgen::PKCS_ED25519)),
    ];
    for (algorithms, (private, public)) in &rows {
        for algorithm in algorithms {
            let key = SigningKey::new(*algorithm, private).unwrap();
            let files = signed(&key, &Claims::default());
            for (others, (_, other_public)) in &rows {
                for other in others {
                    let Ok(key) = VerificationKey::new(*other, other_public, None) else {
                        panic!("{other} cannot be read");
                    };
                    let result = verify(&files, rules(Mode::Required, &[("k", key)]));
                    let fits = public == other_public && algorithm == other;
                    assert_eq!(result.is_ok(), fits, "{algorithm} by {other}: {result:?}");
                }
            }
        }
    }
    // A key is not for another algorithm than its own.
    let (private, public) = &rows[2].1;
    for algorithm in [Rs256, Ps512, Es384, Es512, EdDsa] {
        assert!(
            VerificationKey::new(algorithm, public, None).is_err(),
            "{algorithm}"
        );
        assert!(SigningKey::new(algorithm, private).is_err(), "{algorithm}");
    }
    assert!(VerificationKey::new(Hs256, "", None).is_err());
}

#[test]
fn modes_say_what_must_be_signed() {
    let good = signed(&hmac(), &Claims::default());
    let unsigned = files(&FILES);
    let other = SigningKey::new(JwsAlgorithm::Hs256, "another secret").unwrap();
    let bad = signed(&other, &Claims::default());
    let missing = "bundle missing .signatures.json file";
    let wrong = "failed to verify JWT signature";
    for (mode, files, expected) in [
        (Mode::Off, &good, Ok(())),
        (Mode::Off, &unsigned, Ok(())),
        (Mode::Off, &bad, Ok(())),
        (Mode::VerifyIfPresent, &good, Ok(())),
        (Mode::VerifyIfPresent, &unsigned, Ok(())),
        (Mode::VerifyIfPresent, &bad, Err(wrong)),
        (Mode::Required, &good, Ok(())),
        (Mode::Required, &unsigned, Err(missing)),
        (Mode::Required, &bad, Err(wrong)),
    ] {
        let result = verify(files, secret_rules(mode));
        assert_eq!(result, expected.map_err(str::to_owned), "{mode:?}");
    }
    let no_key = verify(&good, rules(Mode::VerifyIfPresent, &[]));
    assert_eq!(no_key.unwrap_err(), "verification key not provided");
}

#[test]
fn every_file_is_listed_and_every_listed_file_is_there() {
    let change = |path: &str, text: &str| {
        let mut files = signed(&hmac(), &Claims::default());
        match files.iter_mut().find(|file| file.path == path) {
            Some(file) => file.bytes = text.as_bytes().to_vec(),
            None => files.push(BundleFile {
                path: path.to_owned(),
                bytes: text.as_bytes().to_vec(),
            }),
        }
        files
    };
    let without = |path: &str| {
        let mut files = signed(&hmac(), &Claims::default());
        files.retain(|file| file.path != path);
        files
    };
    // Rule: of documents the content counts, of all others each byte.
    let rows = [
        (
            change("p.rego", "package p\n"),
            "p.rego: digest mismatch (want: ",
        ),
        (
            change("p.rego", "package p\n\nallow := data.d.x == 1 \n"),
            "p.rego: digest mismatch",
        ),
        (change("README", "read me "), "README: digest mismatch"),
        (
            change(
                ".manifest",
                " {\"roots\":[\"p\",\"d\"], \"revision\":\"\\u0031\"}",
            ),
            "",
        ),
        (
            change(".manifest", "{\"roots\":[\"d\",\"p\"], \"revision\":\"1\"}"),
            ".manifest: digest mismatch",
        ),
        (
            change(".manifest", "{\"revision\": \"1\"}"),
            ".manifest: digest mismatch",
        ),
        (
            change(
                "d/data.json",
                "{\"y\":[1.50,\"a\u{e9}\",null],\"x\":0,\"x\":1}",
            ),
            "",
        ),
        (
            change("d/data.json", "{\"y\":[1.5,\"a\u{e9}\",null],\"x\":1}"),
            "d/data.json: digest mismatch",
        ),
        (
            change("d/data.json", "{\"y\":[1.50,\"a\u{e9}\"],\"x\":1}"),
            "d/data.json: digest mismatch",
        ),
        (change("d/data.json", "{"), "d/data.json: unexpected EOF"),
        (change("d/e/data.yaml", "{\"list\": [a, true], z: 2.5}"), ""),
        (
            change("d/e/data.yaml", "z: 2.5\nlist: [a, \"true\"]\n"),
            "d/e/data.yaml: digest mismatch",
        ),
        (
            change("q.rego", "package p\n"),
            "file q.rego not included in bundle signature",
        ),
        (
            change("d/x/.signatures.json", "{}"),
            "file d/x/.signatures.json not included in bundle signature",
        ),
        (
            without("p.rego"),
            "file(s) [p.rego] specified in bundle signatures but not found in the target bundle",
        ),
        (
            without(".manifest"),
            "file(s) [.manifest] specified in bundle signatures but not found",
        ),
        (
            change(SIGNATURES, "{}"),
            "missing JWT (expected exactly one)",
        ),
        (
            change(SIGNATURES, "{\"signatures\": [\"a.b.c\", \"a.b.c\"]}"),
            "multiple JWTs not supported (expected exactly one)",
        ),
        (
            change(SIGNATURES, "{\"signatures\": [\"a.b\"]}"),
            "JWT is malformed",
        ),
        (
            change(SIGNATURES, "["),
            "bundle load failed on signatures decode",
        ),
    ];
    for (files, message) in rows {
        for mode in [Mode::VerifyIfPresent, Mode::Required] {
            match verify(&files, secret_rules(mode)) {
                Ok(()) => assert_eq!(message, ""),
                Err(error) => {
                    assert!(!message.is_empty(), "{error}");
                    assert!(error.contains(message), "{message}: {error}");
                }
            }
        }
    }
}

/// A signature over a payload of any kind.
fn signed_payload(header: &Value, payload: &Value) -> Vec<BundleFile> {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}", encode(header), encode(payload));
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, SECRET.as_bytes());
    let tag = URL_SAFE_NO_PAD.encode(aws_lc_rs::hmac::sign(&key, text.as_bytes()));
    let mut files = files(&[("README", "read me")]);
    files.push(BundleFile {
        path: SIGNATURES.to_owned(),
        bytes: json!({"signatures": [format!("{text}.{tag}")]})
            .to_string()
            .into_bytes(),
    });
    files
}

#[test]
fn hashes_have_the_names_that_opa_gives_them() {
    // Of `read me`.
    let rows = [
        ("MD5", 32),
        ("SHA-1", 40),
        ("SHA-224", 56),
        ("SHA-256", 64),
        ("SHA-384", 96),
        ("SHA-512", 128),
        ("SHA-512-224", 56),
        ("SHA-512-256", 64),
    ];
    let header = json!({"alg": "HS256"});
    for (algorithm, length) in rows {
        let listed = |hash: &str| {
            let file = json!({"name": "/README", "hash": hash, "algorithm": algorithm});
            let files = signed_payload(&header, &json!({"files": [file]}));
            verify(&files, secret_rules(Mode::Required))
        };
        let error = listed("00").unwrap_err();
        let hash = error
            .split("got: ")
            .nth(1)
            .unwrap()
            .trim_end_matches(')')
            .to_owned();
        assert_eq!(hash.len(), length, "{algorithm}");
        assert_eq!(listed(&hash), Ok(()));
        assert_eq!(listed(&hash.to_uppercase()), Ok(()));
    }
    for algorithm in ["", "sha-256", "CRC"] {
        let file = json!({"name": "README", "hash": "", "algorithm": algorithm});
        let files = signed_payload(&header, &json!({"files": [file]}));
        assert!(verify(&files, secret_rules(Mode::Required)).is_err());
    }
}

#[test]
fn a_token_cannot_say_how_it_is_checked() {
    let payload = json!({"files": []});
    let rows = [
        (json!({"alg": "none"}), "not signed with HS256"),
        (json!({"alg": "HS512"}), "not signed with HS256"),
        (json!({"alg": "RS256"}), "not signed with HS256"),
        (json!({"alg": "HS256", "crit": ["b64"]}), "malformed"),
        (json!({}), "malformed"),
        (
            json!({"alg": "HS256", "kid": "other"}),
            "ID other not found",
        ),
    ];
    for (header, message) in rows {
        let files = signed_payload(&header, &payload);
        let error = verify(&files, secret_rules(Mode::Required)).unwrap_err();
        assert!(error.contains(message), "{header}: {error}");
    }
    // The public key as a secret.
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let public = pair.public_key_pem();
    let forged = SigningKey::new(JwsAlgorithm::Hs256, &public).unwrap();
    let key = VerificationKey::new(JwsAlgorithm::Es256, &public, None).unwrap();
    let files = signed(&forged, &Claims::default());
    let error = verify(&files, rules(Mode::Required, &[("k", key)])).unwrap_err();
    assert!(error.contains("not signed with ES256"), "{error}");
    // The same file twice could be two things.
    let file = json!({"name": "README", "hash": "", "algorithm": "SHA-256"});
    let files = signed_payload(&json!({"alg": "HS256"}), &json!({"files": [file, file]}));
    let error = verify(&files, secret_rules(Mode::Required)).unwrap_err();
    assert_eq!(error, "file README is in the bundle signature twice");
}

#[test]
fn key_and_scope_are_those_configured() {
    let key = |scope: Option<&str>| {
        let scope = scope.map(str::to_owned);
        VerificationKey::new(JwsAlgorithm::Hs256, SECRET, scope).unwrap()
    };
    let by = |id: Option<&str>, scope: &str| {
        let mut claims = match scope {
            "" => Claims::default(),
            scope => claims(&json!({"scope": scope})),
        };
        claims.key_id = id.map(str::to_owned);
        signed(&hmac(), &claims)
    };
    let two = |key_id: Option<&str>, scope: Option<&str>| Verification {
        key_id: key_id.map(str::to_owned),
        scope: scope.map(str::to_owned),
        ..rules(
            Mode::Required,
            &[("one", key(Some("write"))), ("two", key(None))],
        )
    };
    let rows = [
        (by(Some("two"), ""), two(None, None), ""),
        (by(Some("one"), "write"), two(None, None), ""),
        (by(Some("one"), ""), two(None, None), "scope mismatch"),
        (by(Some("one"), "read"), two(None, None), "scope mismatch"),
        (by(Some("two"), "read"), two(None, None), "scope mismatch"),
        (by(Some("two"), "read"), two(None, Some("read")), ""),
        (by(Some("one"), "read"), two(None, Some("read")), ""),
        (
            by(None, ""),
            two(None, None),
            "verification key ID is empty",
        ),
        (
            by(Some(""), ""),
            two(None, None),
            "verification key ID is empty",
        ),
        (by(None, ""), two(Some("two"), None), ""),
        // The configured name goes before the token's.
        (
            by(Some("one"), "write"),
            two(Some("two"), None),
            "scope mismatch",
        ),
        (by(Some("three"), ""), two(None, None), "ID three not found"),
        (
            by(Some("two"), ""),
            two(Some("three"), None),
            "ID three not found",
        ),
    ];
    for (files, rules, message) in rows {
        match verify(&files, rules) {
            Ok(()) => assert_eq!(message, ""),
            Err(error) => assert!(!message.is_empty() && error.contains(message), "{error}"),
        }
    }
    // An older place for the name.
    let payload = json!({"files": [], "keyid": "three"});
    let files = signed_payload(&json!({"alg": "HS256"}), &payload);
    let error = verify(&files, two(None, None)).unwrap_err();
    assert!(error.contains("ID three not found"), "{error}");
}

#[test]
fn excluded_files_need_no_signature_but_are_not_let_in_where_it_is_required() {
    let excluding = |mode, glob: &str| Verification {
        exclude_files: vec![glob.to_owned()],
        ..secret_rules(mode)
    };
    let mut files = signed(&hmac(), &Claims::default());
    files.extend(self::files(&[("d/f/NOTES", "n"), ("d/f/data.json", "{}")]));
    for (mode, glob, expected) in [
        (Mode::VerifyIfPresent, "d/f/*", None),
        (
            Mode::VerifyIfPresent,
            "*",
            Some("file d/f/NOTES not included in bundle signature"),
        ),
        (
            Mode::VerifyIfPresent,
            "d/f/NOTES",
            Some("file d/f/data.json not included"),
        ),
        (
            Mode::Required,
            "d/f/*",
            Some("cannot be loaded where signatures are required"),
        ),
    ] {
        let result = verify(&files, excluding(mode, glob));
        match (result, expected) {
            (Ok(()), None) => {}
            (Err(error), Some(message)) => assert!(error.contains(message), "{error}"),
            (result, _) => panic!("{mode:?} {glob}: {result:?}"),
        }
    }
    files.pop();
    assert_eq!(verify(&files, excluding(Mode::Required, "d/f/*")), Ok(()));
}
