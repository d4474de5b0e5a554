//! Reading an archive in memory: nothing is ever unpacked, every size is limited while reading,
//! and names that could mean another place are refused.

use std::collections::HashSet;
use std::io::Read;

use flate2::read::MultiGzDecoder;

use super::{BundleError, BundleFile};

/// Longest path of an entry, in bytes.
const MAX_PATH: usize = 1_024;
/// Bytes read at once.
const CHUNK: usize = 64 * 1024;
/// What begins a gzip stream.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Bounds on what an archive may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// All of it, decompressed.
    pub total_bytes: usize,
    pub file_bytes: usize,
    pub entries: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            total_bytes: 512 << 20,
            file_bytes: 256 << 20,
            entries: 20_000,
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
    let tar = decompress(archive, limits.total_bytes)?;
    let mut files = Vec::new();
    let mut seen = HashSet::new();
    let mut reader = tar::Archive::new(tar.as_slice());
    let entries = reader
        .entries()
        .map_err(|error| BundleError::Archive(error.to_string()))?;
    for (count, entry) in entries.enumerate() {
        if count >= limits.entries {
            return Err(BundleError::Limit(format!(
                "holds more than {} entries",
                limits.entries
            )));
        }
        let entry = entry.map_err(|error| BundleError::Archive(error.to_string()))?;
        if let Some(file) = read_entry(entry, limits, &mut seen)? {
            files.push(file);
        }
    }
    Ok(files)
}

/// Decompresses, stopping as soon as there is too much.
fn decompress(archive: &[u8], limit: usize) -> Result<Vec<u8>, BundleError> {
    let mut decoder = MultiGzDecoder::new(archive);
    let mut output = Vec::new();
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = decoder
            .read(&mut chunk)
            .map_err(|error| BundleError::Archive(error.to_string()))?;
        let Some(bytes) = chunk.get(..read).filter(|bytes| !bytes.is_empty()) else {
            return Ok(output);
        };
        if output.len() + bytes.len() > limit {
            return Err(BundleError::Limit(format!(
                "decompresses to more than {limit} bytes"
            )));
        }
        output.extend_from_slice(bytes);
    }
}

fn read_entry(
    mut entry: tar::Entry<'_, &[u8]>,
    limits: Limits,
    seen: &mut HashSet<String>,
) -> Result<Option<BundleFile>, BundleError> {
    let shown = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
    let refuse = |why: String| BundleError::Entry {
        path: shown.clone(),
        why,
    };
    let kind = entry.header().entry_type();
    if kind.is_dir() {
        return Ok(None);
    }
    if !kind.is_file() {
        return Err(refuse(
            "is no regular file; links and devices are refused".to_owned(),
        ));
    }
    // Extended headers that say another size, or describe holes, are read differently by others.
    for extension in entry.pax_extensions().ok().flatten().into_iter().flatten() {
        let extension = extension.map_err(|error| BundleError::Archive(error.to_string()))?;
        let key = extension.key_bytes();
        if key == b"size" || key.starts_with(b"GNU.sparse") {
            return Err(refuse("has an extended header that is refused".to_owned()));
        }
    }
    let path = clean_path(&entry.path_bytes()).map_err(|why| refuse(why.to_owned()))?;
    // Two names that differ in case only are one on some systems.
    if !seen.insert(path.to_lowercase()) {
        return Err(refuse("is there twice".to_owned()));
    }
    let too_large = || refuse(format!("is larger than {} bytes", limits.file_bytes));
    if entry.size() > limits.file_bytes as u64 {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    entry
        .read_to_end(&mut bytes)
        .map_err(|error| BundleError::Archive(error.to_string()))?;
    Ok(Some(BundleFile { path, bytes }))
}

/// A relative path without tricks. One leading `/` or `./` is what OPA writes.
fn clean_path(bytes: &[u8]) -> Result<String, &'static str> {
    let text = std::str::from_utf8(bytes).map_err(|_| "has a name that is not UTF-8")?;
    if text.len() > MAX_PATH {
        return Err("has a name that is too long");
    }
    if text.contains(['\\', '\0']) || text.chars().any(char::is_control) {
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
