//! The working set of a document projection.

use std::collections::HashMap;

use cabildo_events::{EventId, Lane, Position, Timestamp};

use crate::Rows;

/// Names a document.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DocumentKey {
    /// The kind of document.
    pub collection: &'static str,
    /// Its id within the collection.
    pub id: Box<str>,
}

/// The ids by which the document of an event is found; a thing's has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ids {
    /// The event's own.
    pub event: Option<EventId>,
    /// The request or conversation it belongs to.
    pub correlation: Option<EventId>,
    /// The event it follows from.
    pub causation: Option<EventId>,
}

/// A document: what a view holds of one thing, and the few attributes by which views are searched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Its name.
    pub key: DocumentKey,
    /// The position of the event that made it: documents of a collection are in this order.
    pub created: Position,
    /// The position it was folded to. A sink replaces a document only from the position that was read.
    pub folded: Position,
    /// The lane of the event that made it, and so of all that change it: rows of a view are told apart by it.
    pub lane: Lane,
    /// The aggregate it belongs to, as in `ce-subject`.
    pub aggregate: Box<str>,
    /// What it is: an event type in the record, otherwise the thing's name.
    pub kind: Box<str>,
    /// Who made it.
    pub actor: Option<Box<str>>,
    /// The event's ids, where the document is that of one event.
    pub ids: Ids,
    /// When it was made, by the event's own time.
    pub time: Timestamp,
    /// What a search for text finds.
    pub text: Box<str>,
    /// The document itself: a JSON object.
    pub body: Box<str>,
}

/// What a batch does to a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DocumentChange {
    /// Adds a document that depends on its event alone: if it is there already it is the same one.
    Append(Document),
    /// Writes a document. `from` is the position of the one that was read; `None` if there was none.
    Write {
        /// The document as it is to be.
        document: Document,
        /// What it replaces.
        from: Option<Position>,
    },
    /// Takes a document away; one that is not there is taken away already. No fold does: a view is mended with it.
    Remove {
        /// Which one.
        key: DocumentKey,
        /// The position of the one that was read; `None`: whatever is there.
        from: Option<Position>,
    },
}

impl DocumentChange {
    /// The document's name.
    #[must_use]
    pub const fn key(&self) -> &DocumentKey {
        match self {
            Self::Append(document) | Self::Write { document, .. } => &document.key,
            Self::Remove { key, .. } => key,
        }
    }

    /// The document as it is to be, unless it is taken away.
    #[must_use]
    pub const fn document(&self) -> Option<&Document> {
        match self {
            Self::Append(document) | Self::Write { document, .. } => Some(document),
            Self::Remove { .. } => None,
        }
    }
}

#[derive(Debug)]
struct Held {
    document: Document,
    loaded: Option<Position>,
    changed: bool,
}

/// Documents as loaded, and as folding left them.
#[derive(Debug, Default)]
pub struct Documents {
    held: HashMap<DocumentKey, Held>,
    appended: Vec<Document>,
    now: Position,
}

impl Documents {
    /// A document that was loaded or written since.
    #[must_use]
    pub fn get(&self, key: &DocumentKey) -> Option<&Document> {
        self.held.get(key).map(|held| &held.document)
    }

    /// Writes a document that was looked at. One that has been folded past the current event already (a run before
    /// this one got as far as the document, not as far as the watermark) stays as it is.
    pub fn put(&mut self, mut document: Document) {
        document.folded = self.now;
        match self.held.get_mut(&document.key) {
            Some(held) if held.document.folded >= self.now => {}
            Some(held) => {
                held.document = document;
                held.changed = true;
            }
            None => {
                self.held.insert(document.key.clone(), Held { document, loaded: None, changed: true });
            }
        }
    }

    /// Adds a document that depends on its event alone.
    pub fn append(&mut self, document: Document) {
        self.appended.push(document);
    }
}

impl Rows for Documents {
    type Key = DocumentKey;
    type Row = Document;
    type Change = DocumentChange;

    fn begin(&mut self, position: Position) {
        self.now = position;
    }

    fn load(&mut self, key: DocumentKey, row: Option<Document>) {
        if let Some(document) = row {
            let loaded = Some(document.folded);
            // Ahead of the watermark: a run before this one got as far as the document, not as far as the watermark. What is
            // folded over it holds only where it is still there, so it is written again as it is, on that condition.
            let changed = document.folded > self.now;
            self.held.insert(key, Held { document, loaded, changed });
        }
    }

    fn into_changes(self) -> Vec<DocumentChange> {
        let mut written: Vec<_> = self.held.into_values().filter(|held| held.changed).collect();
        written.sort_unstable_by(|left, right| left.document.key.cmp(&right.document.key));
        let written =
            written.into_iter().map(|held| DocumentChange::Write { document: held.document, from: held.loaded });
        self.appended.into_iter().map(DocumentChange::Append).chain(written).collect()
    }
}
