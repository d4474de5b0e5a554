//! Reading an archive in memory: nothing is ever unpacked, every size is limited while reading,
//! and what other readers would take for another archive is refused.

use std::collections::HashSet;
use std::io::Read;

use flate2::read::MultiGzDecoder;
use serde::{Deserialize, Serialize};

use super::{BundleError, BundleFile};
use crate::units::Size;

/// Longest path of an entry, in bytes.
const MAX_PATH: usize = 256;
/// Most characters of a path that errors show.
const MAX_SHOWN: usize = 300;
/// Bytes read at once.
const CHUNK: usize = 64 * 1024;
/// What begins a gzip stream.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
/// Bytes for which the ratio does not count: small texts that repeat themselves compress well.
const RATIO_FLOOR: usize = 16 << 20;

/// Section `bundle_limits` of the configuration: bounds on what an archive may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// All of it, decompressed.
    pub max_bytes: Size,
    pub max_file_bytes: Size,
    /// Files, folders and whatever else.
    pub max_entries: usize,
    /// How many times its own size it may decompress to.
    pub max_ratio: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_bytes: Size::from_mib(512),
            max_file_bytes: Size::from_mib(256),
            max_entries: 20_000,
            max_ratio: 200,
        }
    }
}

/// Reads the regular files of a gzip-compressed tar archive.
pub(super) fn read(archive: &[u8], limits: Limits) -> Result<Vec<BundleFile>, BundleError> {
    if !archive.starts_with(&GZIP_MAGIC) {
        return Err(BundleError::Archive(
            "it does not begin with a gzip header".to_owned(),
        ));
    }
    let tar = decompress(archive, limits)?;
    let mut files = Vec::new();
    let mut seen = HashSet::new();
    let mut reader = tar::Archive::new(tar.as_slice());
    let entries = reader.entries().map_err(BundleError::archive)?;
    for (count, entry) in entries.enumerate() {
        if count >= limits.max_entries {
            return Err(BundleError::Limit(format!(
                "holds more than {} entries",
                limits.max_entries
            )));
        }
        if let Some(file) = read_entry(entry.map_err(BundleError::archive)?, limits, &mut seen)? {
            files.push(file);
        }
    }
    Ok(files)
}

/// Decompresses, stopping as soon as there is too much. Members of one stream count together.
fn decompress(archive: &[u8], limits: Limits) -> Result<Vec<u8>, BundleError> {
    let limit = limits.max_bytes.as_usize();
    let ratio_limit = archive
        .len()
        .saturating_mul(limits.max_ratio)
        .max(RATIO_FLOOR);
    let mut decoder = MultiGzDecoder::new(archive);
    let mut output = Vec::new();
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = decoder.read(&mut chunk).map_err(BundleError::archive)?;
        let Some(bytes) = chunk.get(..read).filter(|bytes| !bytes.is_empty()) else {
            return Ok(output);
        };
        let length = output.len() + bytes.len();
        if length > limit {
            return Err(BundleError::Limit(format!(
                "decompresses to more than {limit} bytes"
            )));
        }
        if length > ratio_limit {
            return Err(BundleError::Limit(format!(
                "decompresses to more than {} times its size",
                limits.max_ratio
            )));
        }
        output.extend_from_slice(bytes);
    }
}

/// A file, or nothing for a folder.
fn read_entry(
    mut entry: tar::Entry<'_, &[u8]>,
    limits: Limits,
    seen: &mut HashSet<String>,
) -> Result<Option<BundleFile>, BundleError> {
    let shown = shown(&entry.path_bytes());
    let refuse = &|why: &str| BundleError::Entry {
        path: shown.clone(),
        why: why.to_owned(),
    };
    let kind = entry.header().entry_type();
    if kind.is_pax_global_extensions() {
        return match is_comment(&mut entry)? {
            true => Ok(None),
            false => Err(refuse("changes all other entries, which is refused")),
        };
    }
    check_extensions(&mut entry).map_err(|why| refuse(&why))?;
    if kind.is_dir() {
        // Some readers skip the content that a folder says it has, others read entries out of it.
        return match entry.size() {
            0 => Ok(None),
            _ => Err(refuse("is a folder that has content")),
        };
    }
    if !kind.is_file() {
        return Err(refuse(
            "is no regular file; links, devices and sparse files are refused",
        ));
    }
    let path = clean_path(&entry.path_bytes()).map_err(refuse)?;
    // Two names that differ in case only are one on some systems; some letters have two small forms.
    if !seen.insert(path.to_uppercase().to_lowercase()) {
        return Err(refuse("is there twice"));
    }
    let limit = limits.max_file_bytes.0;
    if entry.size() > limit {
        return Err(BundleError::FileSize { path, limit });
    }
    let mut bytes = Vec::new();
    entry
        .read_to_end(&mut bytes)
        .map_err(BundleError::archive)?;
    if bytes.len() as u64 != entry.size() {
        return Err(refuse("is cut off"));
    }
    Ok(Some(BundleFile { path, bytes }))
}

/// Rule: what extended headers say of an entry's size, or that it has holes, is read differently by
/// others; and so is what they say twice.
fn check_extensions(entry: &mut tar::Entry<'_, &[u8]>) -> Result<(), String> {
    let broken = |error: std::io::Error| format!("has a broken extended header: {error}");
    let mut keys = HashSet::new();
    let extensions = entry.pax_extensions().map_err(broken)?;
    for extension in extensions.into_iter().flatten() {
        let extension = extension.map_err(broken)?;
        let key = extension.key_bytes();
        if key == b"size" || key.starts_with(b"GNU.sparse") {
            let key = shown(key);
            return Err(format!("has an extended header `{key}`, which is refused"));
        }
        if !keys.insert(key.to_vec()) {
            return Err(format!("has the extended header `{}` twice", shown(key)));
        }
    }
    Ok(())
}

/// Whether a global header says nothing but a comment, as those that Git writes.
fn is_comment(entry: &mut tar::Entry<'_, &[u8]>) -> Result<bool, BundleError> {
    let mut records = Vec::new();
    entry
        .read_to_end(&mut records)
        .map_err(BundleError::archive)?;
    for record in tar::PaxExtensions::new(&records) {
        if record.map_err(BundleError::archive)?.key_bytes() != b"comment" {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A name as errors show it: it may be long, and hold anything.
fn shown(path: &[u8]) -> String {
    let text = String::from_utf8_lossy(path);
    text.chars()
        .take(MAX_SHOWN)
        .flat_map(char::escape_debug)
        .collect()
}

/// A relative path without tricks. One leading `/` or `./` is what OPA writes.
fn clean_path(bytes: &[u8]) -> Result<String, &'static str> {
    let text = std::str::from_utf8(bytes).map_err(|_| "has a name that is not UTF-8")?;
    if text.len() > MAX_PATH {
        return Err("has a name of more than 256 bytes");
    }
    if text.contains('\\') || text.chars().any(char::is_control) {
        return Err("has a backslash or control character in its name");
    }
    let path = text
        .strip_prefix("./")
        .or_else(|| text.strip_prefix('/'))
        .unwrap_or(text);
    if path
        .split('/')
        .any(|segment| matches!(segment, "" | "." | ".."))
    {
        return Err("has an empty, `.` or `..` segment in its name");
    }
    Ok(path.to_owned())
}
