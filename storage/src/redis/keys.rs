//! The names of keys.

use cabildo_events::Lane;
use cabildo_projections::ProjectionId;

use super::address::PREFIX;

/// The keys under one prefix.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    prefix: String,
}

impl Keys {
    pub(super) fn under(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    /// The layout's version.
    pub(super) fn schema(&self) -> String {
        format!("{}:schema", self.prefix)
    }

    /// Where a lane stands. No hash has this name: theirs have a colon after the table.
    pub(super) fn watermark(&self, projection: ProjectionId, lane: Lane) -> String {
        format!("{}watermark", self.lane(projection, lane))
    }

    /// One hash. The key comes last, so whatever is in it the name is unambiguous.
    pub(super) fn hash(&self, projection: ProjectionId, lane: Lane, table: &str, key: &str) -> String {
        format!("{}{table}:{key}", self.lane(projection, lane))
    }

    /// A hash that others read by its bare name; under another prefix than the usual one, it is theirs who chose that.
    pub(super) fn shown(&self, name: &str) -> String {
        if self.prefix == PREFIX { name.to_owned() } else { format!("{}:{name}", self.prefix) }
    }

    /// The watermark that such a hash shows: in the slot of the hash, by its tag.
    pub(super) fn shown_at(&self, name: &str) -> String {
        format!("{{{}}}:watermark", self.shown(name))
    }

    /// What matches every key of a lane.
    pub(super) fn of_lane(&self, projection: ProjectionId, lane: Lane) -> String {
        format!("{}*", self.lane(projection, lane))
    }

    /// What matches every key of a view.
    pub(super) fn of_view(&self, projection: ProjectionId) -> String {
        format!("{}:{{??}}:{}:{}:*", self.prefix, projection.name, projection.version)
    }

    /// What matches the watermarks of every view of a projection, and maybe hashes.
    pub(super) fn of_watermarks(&self, projection: &str) -> String {
        format!("{}:{{??}}:{projection}:*:watermark", self.prefix)
    }

    /// The version whose watermark a key is.
    pub(super) fn version(&self, projection: &str, key: &str) -> Option<u32> {
        let rest = key.strip_prefix(&*self.prefix)?.strip_prefix(":{")?;
        let (_lane, rest) = rest.split_once("}:")?;
        rest.strip_prefix(projection)?.strip_prefix(':')?.strip_suffix(":watermark")?.parse().ok()
    }

    /// Table and key of a hash of a lane.
    pub(super) fn parts<'a>(&self, projection: ProjectionId, lane: Lane, name: &'a str) -> Option<(&'a str, &'a str)> {
        name.strip_prefix(&*self.lane(projection, lane))?.split_once(':')
    }

    fn lane(&self, projection: ProjectionId, lane: Lane) -> String {
        format!("{}:{{{lane}}}:{}:{}:", self.prefix, projection.name, projection.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_reads_from_the_prefix_to_the_thing() {
        let (keys, lane) = (Keys::under("cabildo"), Lane::new(7).unwrap());
        let tally = ProjectionId { name: "tally", version: 1 };
        assert_eq!(keys.hash(tally, lane, "votes", "bands-2026"), "cabildo:{07}:tally:1:votes:bands-2026");
        assert_eq!(keys.watermark(tally, lane), "cabildo:{07}:tally:1:watermark");
        assert_eq!(keys.schema(), "cabildo:schema");
        assert_eq!((keys.shown("data"), keys.shown_at("data")), ("data".into(), "{data}:watermark".into()));
        assert_eq!(Keys::under("b").shown_at("data"), "{b:data}:watermark");
        assert_eq!(keys.parts(tally, lane, "cabildo:{07}:tally:1:votes:a:b"), Some(("votes", "a:b")));
        assert_eq!(keys.version("tally", "cabildo:{07}:tally:12:watermark"), Some(12));
        assert_eq!(keys.version("tally", "cabildo:{07}:tally:1:votes:watermark"), None);
    }
}
