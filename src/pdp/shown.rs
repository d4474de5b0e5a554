//! An answer in JSON, as the management API and the command line show it. What a proxy gets is left
//! to its door.

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use super::Answer;

impl Serialize for Answer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let decision = &self.decision;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("decision_id", &self.id)?;
        map.serialize_entry("effect", &decision.effect())?;
        map.serialize_entry("status", &decision.status())?;
        map.serialize_entry("reason", &decision.reason)?;
        map.serialize_entry("revision", &self.revision)?;
        map.serialize_entry("cached", &self.cached)?;
        for (name, value) in [
            ("peer_principal", &decision.peer_principal),
            ("forwarded_by", &decision.forwarded_by),
            ("request_principal", &decision.request_principal),
        ] {
            if let Some(value) = value {
                map.serialize_entry(name, value)?;
            }
        }
        map.serialize_entry("observed", &decision.observed)?;
        match decision.reply() {
            Ok(mutations) => {
                let mut mutations = mutations.clone();
                mutations.remove_headers.extend(self.lookalikes.clone());
                map.serialize_entry("ok_response", &mutations)?;
            }
            Err(denial) => map.serialize_entry("denied_response", denial)?,
        }
        if let Some(metadata) = &decision.dynamic_metadata {
            map.serialize_entry("dynamic_metadata", metadata)?;
        }
        map.end()
    }
}
