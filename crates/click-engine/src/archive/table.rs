//! Tables of the archive as Parquet bytes: rows are put in and taken out cell by cell, in the order
//! of the columns. Equal rows give equal bytes. Must never know what a column means.

use std::sync::Arc;

use arrow_array::builder::{BinaryBuilder, BooleanBuilder, Int64Builder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

/// Rows of a row group: what a reader skips or reads as one.
const GROUP_ROWS: usize = 65_536;

/// What a cell holds; every cell may be empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Int,
    Text,
    Bytes,
    Bool,
}

/// Name and kind of the columns, in order.
pub(super) type Columns = &'static [(&'static str, Kind)];

enum Builder {
    Int(Int64Builder),
    Text(StringBuilder),
    Bytes(BinaryBuilder),
    Bool(BooleanBuilder),
}

/// A table that is being filled.
pub(super) struct Table {
    columns: Columns,
    builders: Vec<Builder>,
    at: usize,
    rows: usize,
}

impl Table {
    pub(super) fn new(columns: Columns) -> Table {
        let builder = |(_, kind): &(&str, Kind)| match kind {
            Kind::Int => Builder::Int(Int64Builder::new()),
            Kind::Text => Builder::Text(StringBuilder::new()),
            Kind::Bytes => Builder::Bytes(BinaryBuilder::new()),
            Kind::Bool => Builder::Bool(BooleanBuilder::new()),
        };
        Table { columns, builders: columns.iter().map(builder).collect(), at: 0, rows: 0 }
    }

    fn next(&mut self) -> &mut Builder {
        let builder = &mut self.builders[self.at];
        self.at += 1;
        builder
    }

    /// The next cell. A number beyond what the format can hold is a defect of the caller.
    pub(super) fn int(&mut self, value: Option<u64>) {
        let value = value.map(|value| i64::try_from(value).expect("checked by the caller"));
        let Builder::Int(builder) = self.next() else { panic!("a column of another kind") };
        builder.append_option(value);
    }

    pub(super) fn text(&mut self, value: Option<&str>) {
        let Builder::Text(builder) = self.next() else { panic!("a column of another kind") };
        builder.append_option(value);
    }

    pub(super) fn bytes(&mut self, value: Option<&[u8]>) {
        let Builder::Bytes(builder) = self.next() else { panic!("a column of another kind") };
        builder.append_option(value);
    }

    pub(super) fn bool(&mut self, value: Option<bool>) {
        let Builder::Bool(builder) = self.next() else { panic!("a column of another kind") };
        builder.append_option(value);
    }

    /// The rest of the row is empty.
    pub(super) fn end_row(&mut self) {
        while self.at < self.columns.len() {
            match self.next() {
                Builder::Int(builder) => builder.append_null(),
                Builder::Text(builder) => builder.append_null(),
                Builder::Bytes(builder) => builder.append_null(),
                Builder::Bool(builder) => builder.append_null(),
            }
        }
        (self.at, self.rows) = (0, self.rows + 1);
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// The table as a Parquet file; `looked_up` has a bloom filter.
    pub(super) fn into_parquet(self, looked_up: Option<&str>) -> Result<Vec<u8>, String> {
        let arrays: Vec<ArrayRef> = self.builders.into_iter().map(Builder::finish).collect();
        let batch =
            RecordBatch::try_new(schema(self.columns), arrays).map_err(|e| e.to_string())?;
        to_parquet(self.columns, &[batch], looked_up)
    }
}

fn schema(columns: Columns) -> Arc<Schema> {
    let field = |(name, kind): &(&str, Kind)| Field::new(*name, data_type(*kind), true);
    Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()))
}

fn to_parquet(
    columns: Columns,
    batches: &[RecordBatch],
    looked_up: Option<&str>,
) -> Result<Vec<u8>, String> {
    let (mut bytes, properties) = (Vec::new(), properties(looked_up));
    let mut writer = ArrowWriter::try_new(&mut bytes, schema(columns), Some(properties))
        .map_err(|e| e.to_string())?;
    for batch in batches {
        writer.write(batch).map_err(|e| e.to_string())?;
    }
    writer.close().map_err(|e| e.to_string())?;
    Ok(bytes)
}

impl Builder {
    fn finish(self) -> ArrayRef {
        match self {
            Builder::Int(mut builder) => Arc::new(builder.finish()),
            Builder::Text(mut builder) => Arc::new(builder.finish()),
            Builder::Bytes(mut builder) => Arc::new(builder.finish()),
            Builder::Bool(mut builder) => Arc::new(builder.finish()),
        }
    }
}

fn data_type(kind: Kind) -> DataType {
    match kind {
        Kind::Int => DataType::Int64,
        Kind::Text => DataType::Utf8,
        Kind::Bytes => DataType::Binary,
        Kind::Bool => DataType::Boolean,
    }
}

fn properties(looked_up: Option<&str>) -> WriterProperties {
    let mut properties = WriterProperties::builder()
        .set_created_by("clickledger archive 1".to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_max_row_group_row_count(Some(GROUP_ROWS));
    if let Some(column) = looked_up {
        let path = ColumnPath::from(column);
        properties = properties
            .set_column_bloom_filter_enabled(path.clone(), true)
            .set_column_dictionary_enabled(path, false);
    }
    properties.build()
}

/// A cell of any column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell<'a> {
    /// Unknown, or not of this kind of record.
    Empty,
    /// A whole number, not negative.
    Int(u64),
    /// Text, which may be empty.
    Text(&'a str),
    /// Bytes.
    Bytes(&'a [u8]),
    /// Yes or no.
    Bool(bool),
}

/// Rows of a Parquet file, in order.
pub(super) struct Rows {
    columns: Columns,
    batches: Vec<RecordBatch>,
}

/// One row that is being read, cell by cell.
pub(super) struct RowReader<'a> {
    batch: &'a RecordBatch,
    row: usize,
    at: usize,
}

impl Rows {
    /// Reads a whole file, which must have exactly these columns.
    pub(super) fn from_parquet(columns: Columns, bytes: Vec<u8>) -> Result<Rows, String> {
        let builder = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes))
            .map_err(|e| e.to_string())?;
        let fields = builder.schema().fields();
        let same = fields.len() == columns.len()
            && fields.iter().zip(columns).all(|(field, (name, kind))| {
                field.name() == name && *field.data_type() == data_type(*kind)
            });
        if !same {
            return Err("has other columns than this version writes".into());
        }
        let reader = builder.with_batch_size(GROUP_ROWS).build().map_err(|e| e.to_string())?;
        let batches: Result<_, _> = reader.collect();
        Ok(Rows { columns, batches: batches.map_err(|e| e.to_string())? })
    }

    pub(super) fn len(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    /// As the file that they were read from.
    pub(super) fn to_parquet(&self, looked_up: Option<&str>) -> Result<Vec<u8>, String> {
        to_parquet(self.columns, &self.batches, looked_up)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = RowReader<'_>> {
        self.batches
            .iter()
            .flat_map(|batch| (0..batch.num_rows()).map(move |row| RowReader { batch, row, at: 0 }))
    }
}

impl<'a> RowReader<'a> {
    fn next(&mut self) -> Option<&'a ArrayRef> {
        let column = self.batch.column(self.at);
        self.at += 1;
        column.is_valid(self.row).then_some(column)
    }

    /// Goes on at this column.
    pub(super) const fn skip_to(&mut self, column: usize) {
        self.at = column;
    }

    /// The next cell; a negative number is none of ours and reads as empty.
    pub(super) fn int(&mut self) -> Option<u64> {
        let value = self.next()?.as_primitive::<Int64Type>().value(self.row);
        u64::try_from(value).ok()
    }

    pub(super) fn text(&mut self) -> Option<&'a str> {
        Some(self.next()?.as_string::<i32>().value(self.row))
    }

    pub(super) fn bytes(&mut self) -> Option<&'a [u8]> {
        Some(self.next()?.as_binary::<i32>().value(self.row))
    }

    pub(super) fn bool(&mut self) -> Option<bool> {
        Some(self.next()?.as_boolean().value(self.row))
    }

    /// The next cell, of a column of this kind.
    pub(super) fn cell(&mut self, kind: Kind) -> Cell<'a> {
        let cell = match kind {
            Kind::Int => self.int().map(Cell::Int),
            Kind::Text => self.text().map(Cell::Text),
            Kind::Bytes => self.bytes().map(Cell::Bytes),
            Kind::Bool => self.bool().map(Cell::Bool),
        };
        cell.unwrap_or(Cell::Empty)
    }
}
