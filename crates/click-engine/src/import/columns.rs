//! The interchange columns of SPEC §11: their names, foreign names for them, and one row of cells
//! as text with "unknown" told apart. Must never interpret a value; that is `row`'s.

use std::collections::BTreeMap;

use super::ImportError;

/// A column that `import` understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(usize)]
pub enum Column {
    ClickId = 0,
    AdId,
    ReceivedAt,
    Issuer,
    UserId,
    CampaignId,
    AdvertiserId,
    PublisherId,
    PlacementId,
    PriceMicros,
    PayoutMicros,
    Currency,
    AppendTime,
    Partition,
    ExpiresAt,
    AdActive,
    Ip,
    UserAgent,
    Referrer,
    Country,
    Method,
    Purpose,
    TrackerId,
    Epoch,
    Seq,
}

/// How many columns there are.
pub const COLUMNS: usize = 25;

/// Columns without which no row can be read.
pub const REQUIRED: [Column; 3] = [Column::ClickId, Column::AdId, Column::ReceivedAt];

const NAMES: [(&str, Column); COLUMNS] = [
    ("click_id", Column::ClickId),
    ("ad_id", Column::AdId),
    ("received_at", Column::ReceivedAt),
    ("issuer", Column::Issuer),
    ("user_id", Column::UserId),
    ("campaign_id", Column::CampaignId),
    ("advertiser_id", Column::AdvertiserId),
    ("publisher_id", Column::PublisherId),
    ("placement_id", Column::PlacementId),
    ("price_micros", Column::PriceMicros),
    ("payout_micros", Column::PayoutMicros),
    ("currency", Column::Currency),
    ("append_time", Column::AppendTime),
    ("partition", Column::Partition),
    ("expires_at", Column::ExpiresAt),
    ("ad_active", Column::AdActive),
    ("ip", Column::Ip),
    ("user_agent", Column::UserAgent),
    ("referrer", Column::Referrer),
    ("country", Column::Country),
    ("method", Column::Method),
    ("purpose", Column::Purpose),
    ("tracker_id", Column::TrackerId),
    ("epoch", Column::Epoch),
    ("seq", Column::Seq),
];

impl Column {
    /// The column's own name.
    pub fn name(self) -> &'static str {
        NAMES[self as usize].0
    }

    /// The column of this name.
    pub fn of(name: &str) -> Option<Column> {
        NAMES.iter().find(|(known, _)| *known == name).map(|(_, column)| *column)
    }
}

/// Foreign column names: theirs to ours.
#[derive(Clone, Debug, Default)]
pub struct Names {
    theirs: BTreeMap<String, Option<Column>>,
}

impl Names {
    /// From `theirs = "ours"` pairs; an empty `ours` leaves the column out.
    ///
    /// # Errors
    /// An unknown `ours`, or two columns for one.
    pub fn new(pairs: &BTreeMap<String, String>) -> Result<Names, ImportError> {
        let mut theirs = BTreeMap::new();
        let mut used = BTreeMap::new();
        for (foreign, ours) in pairs {
            let column = if ours.is_empty() { None } else { Some(named(foreign, ours)?) };
            if let Some(other) = column.and_then(|column| used.insert(column, foreign.clone())) {
                return Err(ImportError::Map(format!(
                    "both '{other}' and '{foreign}' are mapped to '{ours}'; keep one of them"
                )));
            }
            theirs.insert(foreign.clone(), column);
        }
        Ok(Names { theirs })
    }

    /// The column that a file calls `name`. A mapped column hides one that has its name by itself.
    pub fn find(&self, name: &str) -> Option<Column> {
        if let Some(mapped) = self.theirs.get(name) {
            return *mapped;
        }
        let own = Column::of(name)?;
        let hidden = self.theirs.values().any(|mapped| *mapped == Some(own));
        (!hidden).then_some(own)
    }

    /// One entry per name of a header; `None` for a column that is not used.
    ///
    /// # Errors
    /// A column twice, or a required one missing.
    pub fn header(&self, names: &[&str]) -> Result<Vec<Option<Column>>, ImportError> {
        let columns: Vec<_> = names.iter().map(|name| self.find(name.trim())).collect();
        for (index, column) in columns.iter().enumerate() {
            if column.is_some() && columns[..index].contains(column) {
                let name = names[index];
                return Err(ImportError::Header(format!("column '{name}' appears twice")));
            }
        }
        match REQUIRED.iter().find(|required| !columns.contains(&Some(**required))) {
            None => Ok(columns),
            Some(missing) => Err(ImportError::Header(format!(
                "no column '{}'; name it in the header, or map a foreign name to it with --map",
                missing.name()
            ))),
        }
    }
}

fn named(foreign: &str, ours: &str) -> Result<Column, ImportError> {
    Column::of(ours).ok_or_else(|| {
        let known: Vec<_> = NAMES.iter().map(|(name, _)| *name).collect();
        ImportError::Map(format!(
            "'{foreign}' is mapped to '{ours}', which is no column; known are {}",
            known.join(", ")
        ))
    })
}

/// One row as text; buffers are reused from row to row.
#[derive(Debug, Default)]
pub struct Cells {
    text: [String; COLUMNS],
    known: [bool; COLUMNS],
}

impl Cells {
    /// Makes every cell unknown.
    pub fn clear(&mut self) {
        self.known = [false; COLUMNS];
    }

    /// Sets a cell.
    pub fn set(&mut self, column: Column, value: &str) {
        let buffer = self.buffer(column);
        buffer.push_str(value);
    }

    /// The cell's buffer, emptied and known, to be written to.
    pub fn buffer(&mut self, column: Column) -> &mut String {
        self.known[column as usize] = true;
        let buffer = &mut self.text[column as usize];
        buffer.clear();
        buffer
    }

    /// Whether the cell was set, empty or not.
    pub fn is_set(&self, column: Column) -> bool {
        self.known[column as usize]
    }

    /// The value; `None` if unknown. Only `user_agent` can be known and empty.
    pub fn get(&self, column: Column) -> Option<&str> {
        let value = self.known[column as usize].then(|| self.text[column as usize].as_str())?;
        (!value.is_empty() || column == Column::UserAgent).then_some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_enum() {
        for (index, (name, column)) in NAMES.iter().enumerate() {
            assert_eq!((*column as usize, column.name()), (index, *name));
        }
    }

    #[test]
    fn a_mapped_column_hides_its_namesake() {
        let pairs = BTreeMap::from([("id".into(), "click_id".into()), ("x".into(), "".into())]);
        let names = Names::new(&pairs).unwrap();
        assert_eq!(names.find("id"), Some(Column::ClickId));
        assert_eq!(names.find("click_id"), None);
        assert_eq!(names.find("x"), None);
        assert_eq!(names.find("ad_id"), Some(Column::AdId));
        let header = names.header(&["id", "ad_id"]).unwrap_err().to_string();
        assert!(header.contains("no column 'received_at'"), "{header}");
    }

    #[test]
    fn maps_that_cannot_be_meant_are_refused() {
        for (pairs, expected) in [
            (vec![("a", "click_id"), ("b", "click_id")], "both 'a' and 'b'"),
            (vec![("a", "klick")], "is no column"),
        ] {
            let pairs = pairs.into_iter().map(|(a, b)| (a.to_owned(), b.to_owned())).collect();
            let error = Names::new(&pairs).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
