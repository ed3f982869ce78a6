//! A file of the archive as a table of cells, for whoever compares it with what other programs read
//! in it, or measures how it is written. Must never judge what a cell means.

use super::manifest::FileEntry;
use super::reader::Archive;
use super::table::{Cell, Columns, Rows};
use super::{ArchiveError, clicks, verdicts};

/// What the archive keeps: names of its datasets.
pub const DATASETS: [&str; 2] = [clicks::NAME, verdicts::NAME];

/// A whole file in memory, held to what its manifest says.
pub struct StoredTable {
    name: String,
    columns: Columns,
    looked_up: Option<&'static str>,
    rows: Rows,
}

impl StoredTable {
    /// Reads one of the archive's files.
    ///
    /// # Errors
    /// If it is missing, was changed, or has other columns than those of its dataset.
    pub fn read(archive: &Archive, file: &FileEntry) -> Result<StoredTable, ArchiveError> {
        let (columns, looked_up) = match &*file.dataset {
            clicks::NAME => (clicks::COLUMNS, Some(clicks::LOOKED_UP)),
            verdicts::NAME => (verdicts::COLUMNS, None),
            other => {
                let reason = format!("is of {other:?}, which is no dataset");
                return Err(ArchiveError::damaged(&file.name, reason));
            }
        };
        let rows = Rows::from_parquet(columns, archive.read(file)?)
            .map_err(|reason| ArchiveError::damaged(&file.name, reason))?;
        Ok(StoredTable { name: file.name.clone(), columns, looked_up, rows })
    }

    /// Names of the columns, in order.
    pub fn columns(&self) -> impl Iterator<Item = &'static str> {
        self.columns.iter().map(|(name, _)| *name)
    }

    /// Every row's cells, in the order of columns.
    pub fn rows(&self) -> impl Iterator<Item = Vec<Cell<'_>>> {
        self.rows
            .iter()
            .map(|mut row| self.columns.iter().map(|(_, kind)| row.cell(*kind)).collect())
    }

    /// Written as the archiver writes it: the bytes of the file that it was read from.
    ///
    /// # Errors
    /// If the Parquet writer refuses.
    pub fn to_parquet(&self) -> Result<Vec<u8>, ArchiveError> {
        let bytes = self.rows.to_parquet(self.looked_up);
        bytes.map_err(|reason| ArchiveError::damaged(&self.name, reason))
    }
}
