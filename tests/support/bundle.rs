//! Archives, good and bad.

use std::io::Write as _;

use doorward::bundle::{BundleFile, Claims, SIGNATURES, SigningKey, sign, write_archive};
use doorward::identity::JwsAlgorithm;
use flate2::Compression;
use flate2::write::GzEncoder;

/// A `.tar.gz` of files.
pub fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, text) in files {
        tar.append(
            &header(path, text.len(), tar::EntryType::Regular),
            text.as_bytes(),
        )
        .unwrap();
    }
    gzip(&tar.into_inner().unwrap())
}

/// A header with any name at all.
pub fn header(path: &str, size: usize, kind: tar::EntryType) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
    header.set_size(size as u64);
    header.set_mode(0o644);
    header.set_entry_type(kind);
    header.set_cksum();
    header
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// The same, signed with `secret` by HS256.
pub fn signed(files: &[(&str, &str)]) -> Vec<u8> {
    let file = |(path, text): &(&str, &str)| BundleFile {
        path: (*path).to_owned(),
        bytes: text.as_bytes().to_vec(),
    };
    let mut files: Vec<_> = files.iter().map(file).collect();
    let key = SigningKey::new(JwsAlgorithm::Hs256, "secret").unwrap();
    let bytes = sign(&files, &key, &Claims::default()).unwrap();
    let path = SIGNATURES.to_owned();
    files.push(BundleFile { path, bytes });
    write_archive(&files).unwrap()
}

/// A bundle whose entrypoint always gives one value.
pub fn constant(revision: &str, value: &str) -> Vec<u8> {
    archive(&[
        (
            ".manifest",
            &format!("{{\"revision\": \"{revision}\", \"roots\": [\"envoy\"]}}"),
        ),
        (
            "policy.rego",
            &format!("package envoy.authz\n\nallow := {value}\n"),
        ),
    ])
}

/// A form of archives, and its content type.
pub fn form(parts: &[(&str, &[u8])]) -> (Vec<u8>, String) {
    let mut body = Vec::new();
    for (name, archive) in parts {
        let head = format!(
            "--limit\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"{name}.tar.gz\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        );
        body.extend(head.as_bytes());
        body.extend(*archive);
        body.extend(b"\r\n");
    }
    body.extend(b"--limit--\r\n");
    (body, "multipart/form-data; boundary=limit".to_owned())
}
