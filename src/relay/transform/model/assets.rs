//! Which plant asset the inspection is about, and which each capture and reading.
//!
//! # Invariants
//! - The asset map is asked once for each combination of channel and reading.
//! - The list of assets has each id once, in the order in which they were found.

use std::collections::{HashMap, HashSet};

use super::super::json::Json;

/// What an asset is looked up by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Subject<'a> {
    /// The asset that Orbit itself names.
    pub asset_id: Option<&'a str>,
    /// The element of the site's walk.
    pub element_id: Option<&'a str>,
    /// The action's uuid.
    pub action_uuid: Option<&'a str>,
    /// The action's name.
    pub action: Option<&'a str>,
    /// The mission's name.
    pub mission: Option<&'a str>,
    /// The robot's nickname.
    pub robot: Option<&'a str>,
    /// The channel, where a capture or a reading is looked up.
    pub channel: Option<&'a str>,
    /// The reading's name, where a reading is looked up.
    pub reading: Option<&'a str>,
}

/// A plant asset that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelAsset {
    /// The plant's name for it.
    pub id: String,
    /// The columns that matched, or `orbit`.
    pub matched_by: String,
    /// The line of the row in the asset map; none where no row matched.
    pub line: Option<usize>,
    /// The other columns of the row.
    pub attributes: Vec<(String, String)>,
}

impl ModelAsset {
    fn to_json(&self) -> Json {
        let attributes = self.attributes.iter();
        let attributes = attributes.map(|(name, text)| (name.clone(), text.as_str().into()));
        Json::object([
            ("id", self.id.as_str().into()),
            ("matched_by", self.matched_by.as_str().into()),
            ("row", self.line.into()),
            ("attributes", Json::Object(attributes.collect())),
        ])
    }
}

/// The assets of one event.
pub(super) struct Assets<'a> {
    subject: Subject<'a>,
    asset_of: &'a dyn Fn(&Subject<'_>) -> Option<ModelAsset>,
    known: HashMap<(Option<String>, Option<String>), Json>,
    ids: HashSet<String>,
    distinct: Vec<Json>,
}

impl<'a> Assets<'a> {
    pub(super) fn new(
        subject: Subject<'a>,
        asset_of: &'a dyn Fn(&Subject<'_>) -> Option<ModelAsset>,
    ) -> Self {
        Self {
            subject,
            asset_of,
            known: HashMap::new(),
            ids: HashSet::new(),
            distinct: Vec::new(),
        }
    }

    /// The asset of the event, of a channel of it, or of a reading; null where there is none.
    pub(super) fn find(&mut self, channel: Option<&str>, reading: Option<&str>) -> Json {
        let place = (channel.map(str::to_owned), reading.map(str::to_owned));
        if let Some(known) = self.known.get(&place) {
            return known.clone();
        }
        let found = (self.asset_of)(&Subject {
            channel,
            reading,
            ..self.subject
        });
        let json = found.as_ref().map_or(Json::Null, ModelAsset::to_json);
        if let Some(asset) = found
            && self.ids.insert(asset.id)
        {
            self.distinct.push(json.clone());
        }
        self.known.insert(place, json.clone());
        json
    }

    /// Each asset that was found.
    pub(super) fn distinct(self) -> Json {
        Json::Array(self.distinct)
    }
}
