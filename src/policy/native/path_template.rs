//! Path templates with `{*}` (one segment) and `{**}` (any number), matched as Envoy's URI
//! template matcher does; for rules that deny, also on bytes which that one misses.

use std::fmt;

/// Most segments of a template.
const MAX_SEGMENTS: usize = 64;

/// A path with placeholders.
#[derive(Debug, Clone)]
pub(super) struct PathTemplate {
    segments: Vec<Segment>,
    /// What stands behind `{**}`, which is the last operator: the end of every path that matches.
    tail: String,
    lenient: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Literal(String),
    /// `{*}`: one segment, not empty.
    One,
    /// `{**}`: any run of characters, slashes included, even none.
    Any,
}

impl PathTemplate {
    /// `None` for a path that is no template. Rules of Istio's validation: a segment is an operator
    /// or free of braces; `{**}` is the last operator; literals are path characters.
    pub(super) fn parse(value: &str, lenient: bool) -> Result<Option<Self>, String> {
        let is_template = value.contains("{*}") || value.contains("{**}");
        let trimmed = value.trim_matches('/');
        for segment in trimmed
            .split('/')
            .filter(|segment| !matches!(*segment, "{*}" | "{**}"))
        {
            if segment.contains(['{', '}']) {
                return Err(format!(
                    "segment `{segment}` is neither `{{*}}`, `{{**}}` nor free of braces"
                ));
            }
            if is_template && (segment.is_empty() || !segment.bytes().all(is_literal_byte)) {
                return Err(format!(
                    "segment `{segment}` cannot stand in a path template"
                ));
            }
        }
        if !is_template {
            return Ok(None);
        }
        let Some(path) = value.strip_prefix('/') else {
            return Err("a path template must begin with `/`".to_owned());
        };
        let segments: Vec<_> = path.split('/').map(Segment::parse).collect();
        let first_any = segments.iter().position(|segment| *segment == Segment::Any);
        let last_operator = segments
            .iter()
            .rposition(|segment| !matches!(segment, Segment::Literal(_)));
        if first_any.is_some() && first_any != last_operator {
            return Err("`{**}` must be the last operator".to_owned());
        }
        if segments.len() > MAX_SEGMENTS {
            return Err(format!("has more than {MAX_SEGMENTS} segments"));
        }
        let behind = first_any.and_then(|at| segments.get(at + 1..));
        let tail = behind.unwrap_or_default().iter().map(Segment::to_string);
        let tail = tail.collect();
        Ok(Some(Self {
            segments,
            tail,
            lenient,
        }))
    }

    /// What every path that matches begins with: the segments in front of the first placeholder.
    pub(super) fn literal_head(&self) -> String {
        let mut head = "/".to_owned();
        for segment in &self.segments {
            let Segment::Literal(literal) = segment else {
                break;
            };
            head.push_str(literal);
            head.push('/');
        }
        head
    }

    pub(super) fn matches(&self, path: &str) -> bool {
        let Some(path) = path.strip_prefix('/') else {
            return false;
        };
        self.rest_matches(&self.segments, path)
    }

    fn rest_matches(&self, segments: &[Segment], path: &str) -> bool {
        let mut path = path;
        let mut segments = segments.iter();
        while let Some(segment) = segments.next() {
            if *segment == Segment::Any {
                let open = path.strip_suffix(self.tail.as_str());
                return open.is_some_and(|open| self.is_open(open));
            }
            let (head, tail) = match path.split_once('/') {
                Some((head, tail)) => (head, Some(tail)),
                None => (path, None),
            };
            let matches = match segment {
                Segment::Literal(literal) => head == literal,
                _ => !head.is_empty() && self.is_open(head),
            };
            if !matches {
                return false;
            }
            match tail {
                Some(tail) if !segments.as_slice().is_empty() => path = tail,
                None if segments.as_slice().is_empty() => return true,
                _ => return false,
            }
        }
        false
    }

    /// Rule: placeholders stand for path characters only. Of a rule that denies, they stand for
    /// anything, or an odd byte would slip past it.
    fn is_open(&self, text: &str) -> bool {
        self.lenient || text.bytes().all(|byte| byte == b'/' || is_path_byte(byte))
    }
}

impl fmt::Display for PathTemplate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut segments = self.segments.iter();
        segments.try_for_each(|segment| segment.fmt(formatter))
    }
}

impl fmt::Display for Segment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(literal) => write!(formatter, "/{literal}"),
            Self::One => formatter.write_str("/{*}"),
            Self::Any => formatter.write_str("/{**}"),
        }
    }
}

impl Segment {
    fn parse(text: &str) -> Self {
        match text {
            "{*}" => Self::One,
            "{**}" => Self::Any,
            _ => Self::Literal(text.to_owned()),
        }
    }
}

/// Characters of a literal segment: RFC 3986 `pchar` without the star.
fn is_literal_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~%!$&'()+,;:@=".contains(&byte)
}

fn is_path_byte(byte: u8) -> bool {
    byte == b'*' || is_literal_byte(byte)
}
