//! `io.jwt.*`: tokens the way OPA takes them apart and checks them. Its rules are laxer than those of
//! RequestAuthentication, which are in `identity`: a policy says itself which keys it trusts. Keys
//! are left to `keys`, making tokens to `sign`, tokens that were good before to `memory`,
//! those that were taken apart before to `decoded`.

mod decoded;
mod keys;
mod memory;
mod sign;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use regorus::Value;

use super::super::json;
use super::{Answer, Builtin, Failure, NOW_NS, any, hexadecimal, horizon, text};
use crate::identity::JwsAlgorithm;
use decoded::Place;
use keys::{Key, KeySet, mac};
use memory::Check;
pub(in super::super) use memory::{Memory, Remembering};

/// Longest token, in bytes.
const MAX_TOKEN: usize = 64 * 1024;
/// Most tokens inside of one another.
const MAX_NESTING: usize = 8;

/// base64url with or without padding, as lax as OPA's about bits that are left over.
const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true)
        .with_encode_padding(false),
);

pub(super) const BUILTINS: &[Builtin] = &[
    Builtin::pure("io.jwt.decode", 1, decode),
    Builtin::pure("io.jwt.verify_hs256", 2, |a| verify(a, JwsAlgorithm::Hs256)),
    Builtin::pure("io.jwt.verify_hs384", 2, |a| verify(a, JwsAlgorithm::Hs384)),
    Builtin::pure("io.jwt.verify_hs512", 2, |a| verify(a, JwsAlgorithm::Hs512)),
    Builtin::pure("io.jwt.verify_rs256", 2, |a| verify(a, JwsAlgorithm::Rs256)),
    Builtin::pure("io.jwt.verify_rs384", 2, |a| verify(a, JwsAlgorithm::Rs384)),
    Builtin::pure("io.jwt.verify_rs512", 2, |a| verify(a, JwsAlgorithm::Rs512)),
    Builtin::pure("io.jwt.verify_ps256", 2, |a| verify(a, JwsAlgorithm::Ps256)),
    Builtin::pure("io.jwt.verify_ps384", 2, |a| verify(a, JwsAlgorithm::Ps384)),
    Builtin::pure("io.jwt.verify_ps512", 2, |a| verify(a, JwsAlgorithm::Ps512)),
    Builtin::pure("io.jwt.verify_es256", 2, |a| verify(a, JwsAlgorithm::Es256)),
    Builtin::pure("io.jwt.verify_es384", 2, |a| verify(a, JwsAlgorithm::Es384)),
    Builtin::pure("io.jwt.verify_es512", 2, |a| verify(a, JwsAlgorithm::Es512)),
    Builtin::pure("io.jwt.verify_eddsa", 2, |a| verify(a, JwsAlgorithm::EdDsa)),
    Builtin::bounded("io.jwt.decode_verify", 2, decode_verify),
    // Signatures of some algorithms are random.
    Builtin::random("io.jwt.encode_sign", 3, sign::encode_sign),
    Builtin::random("io.jwt.encode_sign_raw", 3, sign::encode_sign_raw),
];

/// The three parts of a token, as they stand in it.
#[derive(Clone, Copy)]
struct Parts<'a> {
    header: &'a str,
    payload: &'a str,
    signature: &'a str,
    /// Header and payload with the period between them.
    signed: &'a str,
}

/// What a header says about its token.
#[derive(Default)]
struct Header<'a> {
    alg: &'a str,
    kid: &'a str,
    cty: &'a str,
    has_critical: bool,
}

/// What `io.jwt.decode_verify` demands.
struct Constraints<'a> {
    keys: Keys<'a>,
    alg: Option<&'a str>,
    iss: Option<&'a str>,
    aud: Option<&'a str>,
    /// Nanoseconds since 1970.
    time: Option<f64>,
}

/// What signatures are checked with, as it is written.
#[derive(Clone, Copy)]
enum Keys<'a> {
    Public(&'a str),
    Secret(&'a str),
}

/// Rule: header, payload and the signature in hexadecimal; nothing is verified.
fn decode(arguments: &[Value]) -> Answer {
    let mut token = text(arguments, 0)?.to_owned();
    for _ in 0..=MAX_NESTING {
        let parts = Parts::of(&token)?;
        let place = Place::of(parts.signed);
        if let Some((header, payload)) = place.content() {
            let signature = hexadecimal(&bytes(parts.signature)?);
            return Ok(Value::from(vec![header, payload, Value::from(signature)]));
        }
        let header = parts.header()?;
        let payload = utf8(parts.payload)?;
        // Rule: a token whose content type is `JWT` holds another one, perhaps in quotes.
        if member(&header, "cty").is_some_and(|cty| *cty == Value::from("JWT")) {
            payload.trim_matches('"').clone_into(&mut token);
            continue;
        }
        let signature = hexadecimal(&bytes(parts.signature)?);
        let payload = json_object(&payload)?;
        place.put(&header, &payload);
        return Ok(Value::from(vec![header, payload, Value::from(signature)]));
    }
    Err(too_nested())
}

/// Rule: only the signature is checked, with the key of the header's `kid` or else with any.
fn verify(arguments: &[Value], algorithm: JwsAlgorithm) -> Answer {
    let (token, key) = (text(arguments, 0)?, text(arguments, 1)?);
    let parts = Parts::of(token)?;
    let signature = bytes(parts.signature)?;
    if mac(algorithm).is_some() {
        let key = Key::secret(key.as_bytes());
        let valid = key.verifies(algorithm, parts.signed.as_bytes(), &signature);
        return Ok(Value::from(valid));
    }
    let check = Check::of(&["verify", &format!("{algorithm:?}"), key, token]);
    if check.recall().is_some() {
        return Ok(Value::from(true));
    }
    let keys = KeySet::parse(key)?;
    let header = parts.header()?;
    let header = Header::of(&header)?;
    let signed = parts.signed.as_bytes();
    let valid = keys.verifies(header.kid, header.alg, algorithm, signed, &signature);
    if valid {
        check.remember(None);
    }
    Ok(Value::from(valid))
}

/// Rule: `[true, header, payload]` if everything holds; `[false, {}, {}]` if not; undefined for what
/// cannot be checked at all.
fn decode_verify(arguments: &[Value]) -> Answer {
    let token = text(arguments, 0)?;
    Parts::of(token)?;
    let constraints = Constraints::parse(any(arguments, 1)?)?;
    let unverified = || Value::from(vec![false.into(), Value::new_object(), Value::new_object()]);
    let Some((header, payload)) = constraints.recalled_or_verified(token)? else {
        return Ok(unverified());
    };
    if constraints.allow(&payload)? {
        Ok(Value::from(vec![true.into(), header, payload]))
    } else {
        Ok(unverified())
    }
}

fn too_nested() -> Failure {
    Failure::Limit(format!(
        "a token inside of more than {MAX_NESTING} others is refused"
    ))
}

// === impl Parts ===

impl<'a> Parts<'a> {
    fn of(token: &'a str) -> Result<Self, Failure> {
        if token.len() > MAX_TOKEN {
            return Err(Failure::Limit(format!(
                "a token of more than {MAX_TOKEN} bytes is refused"
            )));
        }
        let three = || {
            let (signed, signature) = token.rsplit_once('.')?;
            let (header, payload) = signed.split_once('.')?;
            (!payload.contains('.')).then_some(Self {
                header,
                payload,
                signature,
                signed,
            })
        };
        three().ok_or(Failure::Failed("encoded JWT must have 3 sections"))
    }

    fn header(&self) -> Result<Value, Failure> {
        let header = json_object(&utf8(self.header)?)?;
        if member(&header, "enc").is_some() {
            return Err(Failure::Failed(
                "JWT is a JWE object, which is not supported",
            ));
        }
        Ok(header)
    }
}

// === impl Header ===

impl<'a> Header<'a> {
    fn of(header: &'a Value) -> Result<Self, Failure> {
        let string = |name| match member(header, name) {
            None => Ok(""),
            Some(Value::String(text)) => Ok(text.as_ref()),
            Some(_) => Err(Failure::Failed("a header member is not a string")),
        };
        string("typ")?;
        Ok(Self {
            alg: string("alg")?,
            kid: string("kid")?,
            cty: string("cty")?,
            has_critical: member(header, "crit").is_some(),
        })
    }
}

// === impl Constraints ===

impl<'a> Constraints<'a> {
    fn parse(value: &'a Value) -> Result<Self, Failure> {
        let Value::Object(members) = value else {
            return Err(Failure::Failed("constraints must be an object"));
        };
        let (mut public, mut secret) = (None, None);
        let (mut alg, mut iss, mut aud, mut at) = (None, None, None, None);
        for (name, value) in members.iter() {
            let string = || match value {
                Value::String(text) => Ok(Some(text.as_ref()).filter(|text| !text.is_empty())),
                _ => Err(Failure::Failed("a token constraint is not a string")),
            };
            match name.as_string().map_or("", AsRef::as_ref) {
                "cert" => public = Some(string()?.unwrap_or_default()),
                "secret" => secret = string()?,
                "alg" => alg = string()?,
                "iss" => iss = string()?,
                "aud" => aud = string()?,
                "time" => at = Some(time(value)?),
                _ => return Err(Failure::Failed("unknown token validation constraint")),
            }
        }
        // Rule: exactly one of `cert` and `secret`.
        let keys = match (public, secret) {
            (Some(text), None) => Keys::Public(text),
            (None, Some(secret)) => Keys::Secret(secret),
            (Some(_), Some(_)) => return Err(Failure::Failed("duplicate key constraints")),
            (None, None) => return Err(Failure::Failed("no key constraint")),
        };
        Ok(Self {
            keys,
            alg,
            iss,
            aud,
            time: at,
        })
    }

    /// What `verified` comes to, which depends on the keys, the algorithm and the token alone.
    fn recalled_or_verified(&self, token: &str) -> Result<Option<(Value, Value)>, Failure> {
        let (kind, keys) = match self.keys {
            Keys::Public(text) => ("public", text),
            Keys::Secret(text) => ("secret", text),
        };
        let check = Check::of(&["decode", kind, keys, self.alg.unwrap_or_default(), token]);
        if let Some(content) = check.recall() {
            return Ok(content);
        }
        let verified = self.verified(token)?;
        if verified.is_some() {
            check.remember(verified.clone());
        }
        Ok(verified)
    }

    /// Header and payload of the token, or of the innermost if it holds others; `None` if one of
    /// them is not signed as demanded.
    fn verified(&self, token: &str) -> Result<Option<(Value, Value)>, Failure> {
        let keys = match self.keys {
            Keys::Public(text) => KeySet::parse(text)?,
            Keys::Secret(secret) => KeySet::of_secret(secret.as_bytes()),
        };
        let mut token = token.to_owned();
        for _ in 0..=MAX_NESTING {
            let parts = Parts::of(&token)?;
            let value = parts.header()?;
            let header = Header::of(&value)?;
            let signature = bytes(parts.signature)?;
            if !self.signs(&keys, &header, parts.signed.as_bytes(), &signature) {
                return Ok(None);
            }
            let payload = utf8(parts.payload)?;
            if !header.cty.eq_ignore_ascii_case("JWT") {
                return Ok(Some((value.clone(), json_object(&payload)?)));
            }
            token = payload;
        }
        Err(too_nested())
    }

    fn signs(&self, keys: &KeySet, header: &Header<'_>, signed: &[u8], signature: &[u8]) -> bool {
        // Rule (RFC 7515 section 4.1.11): no extension is understood, so none may be critical.
        if header.has_critical || self.alg.is_some_and(|alg| alg != header.alg) {
            return false;
        }
        // Rule: no algorithm, `none` or one that is unknown is not verified.
        let Ok(algorithm) = header.alg.parse::<JwsAlgorithm>() else {
            return false;
        };
        keys.verifies(header.kid, header.alg, algorithm, signed, signature)
    }

    fn allow(&self, payload: &Value) -> Result<bool, Failure> {
        let is = |value: &Value, wanted: &str| *value == Value::from(wanted);
        if let Some(wanted) = self.iss
            && !member(payload, "iss").is_some_and(|iss| is(iss, wanted))
        {
            return Ok(false);
        }
        // Rule: a token for an audience needs the constraint, and the constraint an audience.
        let audience = match (member(payload, "aud"), self.aud) {
            (None, None) => true,
            (Some(Value::Array(all)), Some(wanted)) => all.iter().any(|aud| is(aud, wanted)),
            (Some(audience), Some(wanted)) => is(audience, wanted),
            _ => false,
        };
        Ok(audience && self.allows_times(payload)?)
    }

    fn allows_times(&self, payload: &Value) -> Result<bool, Failure> {
        // Whole nanoseconds do not fit a double; OPA rounds as well.
        #[expect(clippy::cast_precision_loss, reason = "the rule of the built-in")]
        let nanoseconds = self.time.unwrap_or(NOW_NS.get() as f64);
        let now = Value::from(nanoseconds / 1e9);
        let number = |name| match member(payload, name) {
            None => Ok(None),
            Some(value @ Value::Number(_)) => Ok(Some(value)),
            Some(_) => Err(Failure::Failed("exp and nbf must be numbers")),
        };
        let (exp, nbf) = (number("exp")?, number("nbf")?);
        // A time that is given is an argument like any other.
        if self.time.is_none() {
            let ahead = [exp, nbf].into_iter().flatten().filter(|edge| now < **edge);
            ahead.for_each(horizon::note_second);
        }
        // Rule: valid before `exp` and from `nbf` on.
        Ok(nbf.is_none_or(|nbf| now >= *nbf) && exp.is_none_or(|exp| now < *exp))
    }
}

fn time(value: &Value) -> Result<f64, Failure> {
    match value {
        // Through its text: a double is only had for an integer that fits it.
        Value::Number(_) => json::scalar_text(value).parse().ok(),
        _ => None,
    }
    .filter(|time| *time >= 0.0)
    .ok_or(Failure::Failed("token time constraint: not a valid time"))
}

// === Reading ===

fn member<'v>(object: &'v Value, name: &str) -> Option<&'v Value> {
    object.as_object().ok()?.get(&Value::from(name))
}

fn bytes(encoded: &str) -> Result<Vec<u8>, Failure> {
    BASE64URL
        .decode(encoded)
        .map_err(|_| Failure::Failed("a part of the JWT had invalid encoding"))
}

fn utf8(encoded: &str) -> Result<String, Failure> {
    let bytes = bytes(encoded)?;
    Ok(String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

fn json_object(text: &str) -> Result<Value, Failure> {
    match json::parse(text.as_bytes()) {
        Ok(object @ Value::Object(_)) => Ok(object),
        _ => Err(Failure::Failed("a part of the JWT is not a JSON object")),
    }
}
