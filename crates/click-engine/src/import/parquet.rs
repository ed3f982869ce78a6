//! Parquet files as rows of cells. Column types are taken where they say what they mean: text,
//! whole numbers, booleans, timestamps (with or without zone: UTC); in another system's export also
//! decimals and dates. Floating point is refused.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Int8Type, Int16Type, Int32Type, Int64Type,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, TimeUnit};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use super::columns::{Cells, Column, Names};
use super::read::{RowSink, open};
use super::{ImportError, MAX_BATCH_ROWS};

/// Which types of columns are taken.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Types {
    /// Those of the interchange format; a timestamp without zone is UTC.
    Own,
    /// Also decimals and dates; a timestamp without zone is a date and time of its own.
    Foreign,
}

/// Hands every row to `sink`; the number is the row's, from 1.
pub fn rows(path: &Path, names: &Names, sink: &mut dyn RowSink) -> Result<(), ImportError> {
    let size = open(path)?.metadata().map_err(|error| ImportError::io(path, &error))?.len();
    let mut columns = Vec::new();
    let mut batches = Batches::open(path, |fields| {
        columns = names.header(&fields.iter().map(String::as_str).collect::<Vec<_>>())?;
        for (name, column) in fields.iter().zip(&columns) {
            if column.is_none() {
                sink.ignored(name);
            }
        }
        Ok((0..columns.len()).filter(|index| columns[*index].is_some()).collect())
    })?;
    let kept: Vec<_> = columns.into_iter().flatten().collect();
    let (total, mut number) = (batches.rows, 0);
    while let Some(batch) = batches.next()? {
        batch_rows(&batch, &kept, &mut number, (size, total), sink)?;
    }
    Ok(())
}

/// Hands over the rows of another system's file: the row's number, from 1, and as text what is
/// known of the columns that are wanted.
///
/// # Errors
/// What `take` says; a file that cannot be read, or a wanted column of a type that cannot.
pub fn foreign_rows<E: From<ImportError>>(
    path: &Path,
    wanted: impl Fn(&str) -> bool,
    mut take: impl FnMut(u64, BTreeMap<String, String>) -> Result<(), E>,
) -> Result<(), E> {
    let mut names = Vec::new();
    let mut batches = Batches::open(path, |fields| {
        let used: Vec<usize> = (0..fields.len()).filter(|at| wanted(&fields[*at])).collect();
        names = used.iter().map(|at| fields[*at].clone()).collect();
        Ok(used)
    })?;
    let mut number = 0;
    while let Some(batch) = batches.next()? {
        let reader = |(array, name): (_, &String)| reader(array, name, Types::Foreign);
        let readers = batch.columns().iter().zip(&names).map(reader);
        let readers: Vec<_> = readers.collect::<Result<_, ImportError>>()?;
        for row in 0..batch.num_rows() {
            number += 1;
            let mut cells = BTreeMap::new();
            for (name, read) in names.iter().zip(&readers) {
                read(row, &mut |text| {
                    cells.insert(name.clone(), text.to_owned());
                });
            }
            take(number, cells)?;
        }
    }
    Ok(())
}

/// A file, a batch of rows at a time.
struct Batches {
    reader: ParquetRecordBatchReader,
    /// In all of it, at least 1.
    rows: u64,
}

impl Batches {
    /// `choose` says by the names of the columns which are read, in ascending order.
    fn open(
        path: &Path,
        choose: impl FnOnce(&[String]) -> Result<Vec<usize>, ImportError>,
    ) -> Result<Batches, ImportError> {
        let file = open(path)?;
        let builder = careful(|| ParquetRecordBatchReaderBuilder::try_new(file))?;
        let fields: Vec<_> = builder.schema().fields().iter().map(|f| f.name().clone()).collect();
        let mask = ProjectionMask::roots(builder.parquet_schema(), choose(&fields)?);
        let rows = u64::try_from(builder.metadata().file_metadata().num_rows()).unwrap_or(0).max(1);
        let reader = builder.with_projection(mask).with_batch_size(MAX_BATCH_ROWS);
        Ok(Batches { reader: careful(|| reader.build())?, rows })
    }

    fn next(&mut self) -> Result<Option<RecordBatch>, ImportError> {
        careful(|| self.reader.next().transpose())
    }
}

/// What the parquet crate makes of the file. It panics on some damaged ones, which is no defect of
/// this program: the file is refused, and nothing of the reader is used after that.
fn careful<T, E: std::fmt::Display>(read: impl FnOnce() -> Result<T, E>) -> Result<T, ImportError> {
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(Ok(read)) => Ok(read),
        Ok(Err(error)) => Err(ImportError::Parquet(error.to_string())),
        Err(_) => Err(ImportError::Parquet("the file is damaged; write it again".into())),
    }
}

fn batch_rows(
    batch: &RecordBatch,
    columns: &[Column],
    number: &mut u64,
    (size, total): (u64, u64),
    sink: &mut dyn RowSink,
) -> Result<(), ImportError> {
    let mut cells = Cells::default();
    let readers: Vec<_> = batch
        .columns()
        .iter()
        .zip(columns)
        .map(|(array, column)| Ok((*column, reader(array, column.name(), Types::Own)?)))
        .collect::<Result<_, ImportError>>()?;
    for row in 0..batch.num_rows() {
        *number += 1;
        cells.clear();
        for (column, read) in &readers {
            read(row, &mut |text| cells.set(*column, text));
        }
        let read = u128::from(size) * u128::from(*number) / u128::from(total);
        sink.row(*number, Ok(&cells), "", u64::try_from(read).unwrap_or(size))?;
    }
    Ok(())
}

/// Hands over the value at a row as text; not a null, which is unknown.
type CellReader<'a> = Box<dyn Fn(usize, &mut dyn FnMut(&str)) + 'a>;

#[expect(clippy::wildcard_enum_match_arm, reason = "every other type, also new ones, is refused")]
fn reader<'a>(
    array: &'a ArrayRef,
    name: &str,
    types: Types,
) -> Result<CellReader<'a>, ImportError> {
    macro_rules! integer {
        ($type:ty) => {{
            let values = array.as_primitive::<$type>();
            when_known(array, move |row| values.value(row).to_string())
        }};
    }
    macro_rules! time {
        ($type:ty, $zone:expr, $scale:expr) => {{
            let values = array.as_primitive::<$type>();
            let is_civil = types == Types::Foreign && $zone.is_none();
            when_known(array, move |row| match values.value_as_datetime(row) {
                Some(civil) if is_civil => civil.to_string(),
                _ => scaled(values.value(row), $scale),
            })
        }};
    }
    Ok(match array.data_type() {
        DataType::Utf8 => text(array, |row| array.as_string::<i32>().value(row)),
        DataType::LargeUtf8 => text(array, |row| array.as_string::<i64>().value(row)),
        DataType::Utf8View => text(array, |row| array.as_string_view().value(row)),
        DataType::Dictionary(_, _) => dictionary(array, name, types)?,
        DataType::Boolean => {
            when_known(array, move |row| array.as_boolean().value(row).to_string())
        }
        DataType::Int8 => integer!(Int8Type),
        DataType::Int16 => integer!(Int16Type),
        DataType::Int32 => integer!(Int32Type),
        DataType::Int64 => integer!(Int64Type),
        DataType::UInt8 => integer!(UInt8Type),
        DataType::UInt16 => integer!(UInt16Type),
        DataType::UInt32 => integer!(UInt32Type),
        DataType::UInt64 => integer!(UInt64Type),
        DataType::Timestamp(TimeUnit::Second, zone) => {
            time!(TimestampSecondType, zone, (1000, 1))
        }
        DataType::Timestamp(TimeUnit::Millisecond, zone) => {
            time!(TimestampMillisecondType, zone, (1, 1))
        }
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            time!(TimestampMicrosecondType, zone, (1, 1000))
        }
        DataType::Timestamp(TimeUnit::Nanosecond, zone) => {
            time!(TimestampNanosecondType, zone, (1, 1_000_000))
        }
        DataType::Date32 if types == Types::Foreign => {
            let days = array.as_primitive::<Date32Type>();
            when_known(array, move |row| days.value_as_date(row).unwrap_or_default().to_string())
        }
        DataType::Decimal128(_, _) if types == Types::Foreign => {
            let values = array.as_primitive::<Decimal128Type>();
            when_known(array, move |row| values.value_as_string(row))
        }
        other => return Err(refused(name, other, types)),
    })
}

fn refused(name: &str, found: &dyn std::fmt::Display, types: Types) -> ImportError {
    let also = if types == Types::Foreign {
        "a whole number, a decimal, a date"
    } else {
        "a whole number"
    };
    ImportError::Parquet(format!(
        "column for '{name}' has type {found}; write it as text, {also} or a timestamp"
    ))
}

fn dictionary<'a>(
    array: &'a ArrayRef,
    name: &str,
    types: Types,
) -> Result<CellReader<'a>, ImportError> {
    let dictionary = array.as_any_dictionary();
    let keys = dictionary.normalized_keys();
    let values = reader(dictionary.values(), name, types)?;
    Ok(Box::new(move |row, take| {
        if !array.is_null(row) {
            values(keys[row], take);
        }
    }))
}

fn text<'a>(array: &'a ArrayRef, value: impl Fn(usize) -> &'a str + 'a) -> CellReader<'a> {
    Box::new(move |row, take| {
        if !array.is_null(row) {
            take(value(row));
        }
    })
}

fn when_known<'a>(array: &'a ArrayRef, value: impl Fn(usize) -> String + 'a) -> CellReader<'a> {
    Box::new(move |row, take| {
        if !array.is_null(row) {
            take(&value(row));
        }
    })
}

/// Milliseconds, rounded down; what overflows stays out of range and is refused later.
fn scaled(value: i64, (times, by): (i64, i64)) -> String {
    value.saturating_mul(times).div_euclid(by).to_string()
}
