//! What a server's files say of whom to trust and who asks. They are read for each request, so that one
//! that was replaced is used from then on.

use std::path::Path;

use crate::bundle::SourceTls;
use crate::fetch::{FetchError, Tls, blocking};

/// Largest file that is read, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// Rule: `shows_itself` only to the server that was configured.
pub(super) async fn read_tls(tls: &SourceTls, shows_itself: bool) -> Result<Tls, FetchError> {
    let tls = tls.clone();
    let read = move || {
        let identity = match (&tls.cert, &tls.key) {
            (Some(cert), Some(key)) if shows_itself => {
                Some([read_file(cert)?, read_file(key)?].join(&b'\n'))
            }
            _ => None,
        };
        Ok(Tls {
            ca: tls.ca.as_deref().map(read_file).transpose()?,
            system_ca: tls.system_ca,
            identity,
        })
    };
    blocking(read).await
}

/// Reads a secret: the file's text without the line's end.
pub fn read_text(path: &Path) -> Result<String, FetchError> {
    let text = String::from_utf8(read_file(path)?);
    let text = text.map_err(|_| FetchError::Local(format!("{} is no text", path.display())))?;
    Ok(text.trim().to_owned())
}

/// Reads a file of credentials, bounded.
pub fn read_file(path: &Path) -> Result<Vec<u8>, FetchError> {
    use std::io::Read as _;
    let wrong = |why| FetchError::Local(format!("{}: {why}", path.display()));
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| wrong(error.to_string()))?;
    let read = file.take(MAX_FILE + 1).read_to_end(&mut bytes);
    read.map_err(|error| wrong(error.to_string()))?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(wrong(format!("larger than {MAX_FILE} bytes")));
    }
    Ok(bytes)
}
