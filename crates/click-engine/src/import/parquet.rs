//! Parquet files as rows of cells. Column types are taken where they say what they mean: text,
//! whole numbers, booleans, timestamps (with or without zone: UTC). Floating point is refused.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Int8Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, TimeUnit};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::columns::{Cells, Column, Names};
use super::read::{RowSink, open};
use super::{ImportError, MAX_BATCH_ROWS};

/// Hands every row to `sink`; the number is the row's, from 1.
pub fn rows(path: &Path, names: &Names, sink: &mut dyn RowSink) -> Result<(), ImportError> {
    let file = open(path)?;
    let size = file.metadata().map_err(|error| ImportError::io(path, &error))?.len();
    let builder = careful(|| ParquetRecordBatchReaderBuilder::try_new(file))?;
    let fields: Vec<_> = builder.schema().fields().iter().map(|f| f.name().clone()).collect();
    let columns = names.header(&fields.iter().map(String::as_str).collect::<Vec<_>>())?;
    let used: Vec<_> = (0..columns.len()).filter(|index| columns[*index].is_some()).collect();
    for (name, column) in fields.iter().zip(&columns) {
        if column.is_none() {
            sink.ignored(name);
        }
    }
    let total = u64::try_from(builder.metadata().file_metadata().num_rows()).unwrap_or(0).max(1);
    let mask = ProjectionMask::roots(builder.parquet_schema(), used);
    let kept: Vec<_> = columns.into_iter().flatten().collect();
    let reader = builder.with_projection(mask).with_batch_size(MAX_BATCH_ROWS);
    let mut number = 0;
    let mut reader = careful(|| reader.build())?;
    while let Some(batch) = careful(|| reader.next().transpose())? {
        batch_rows(&batch, &kept, &mut number, (size, total), sink)?;
    }
    Ok(())
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
        .map(|(array, column)| Ok((*column, reader(array, *column)?)))
        .collect::<Result<_, ImportError>>()?;
    for row in 0..batch.num_rows() {
        *number += 1;
        cells.clear();
        for (column, read) in &readers {
            read(row, *column, &mut cells);
        }
        let read = u128::from(size) * u128::from(*number) / u128::from(total);
        sink.row(*number, Ok(&cells), "", u64::try_from(read).unwrap_or(size))?;
    }
    Ok(())
}

/// Writes the value at a row into the cell of a column, leaves a null unknown.
type CellReader<'a> = Box<dyn Fn(usize, Column, &mut Cells) + 'a>;

#[expect(clippy::wildcard_enum_match_arm, reason = "every other type, also new ones, is refused")]
fn reader(array: &ArrayRef, column: Column) -> Result<CellReader<'_>, ImportError> {
    macro_rules! integer {
        ($type:ty) => {{
            let values = array.as_primitive::<$type>();
            when_known(array, move |row| values.value(row).to_string())
        }};
    }
    macro_rules! time {
        ($type:ty, $scale:expr) => {{
            let values = array.as_primitive::<$type>();
            when_known(array, move |row| scaled(values.value(row), $scale))
        }};
    }
    Ok(match array.data_type() {
        DataType::Utf8 => text(array, |row| array.as_string::<i32>().value(row)),
        DataType::LargeUtf8 => text(array, |row| array.as_string::<i64>().value(row)),
        DataType::Utf8View => text(array, |row| array.as_string_view().value(row)),
        DataType::Dictionary(_, _) => dictionary(array, column)?,
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
        DataType::Timestamp(TimeUnit::Second, _) => time!(TimestampSecondType, (1000, 1)),
        DataType::Timestamp(TimeUnit::Millisecond, _) => time!(TimestampMillisecondType, (1, 1)),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            time!(TimestampMicrosecondType, (1, 1000))
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            time!(TimestampNanosecondType, (1, 1_000_000))
        }
        other => return Err(refused(column, other)),
    })
}

fn refused(column: Column, found: &dyn std::fmt::Display) -> ImportError {
    ImportError::Parquet(format!(
        "column for '{}' has type {found}; write it as text, a whole number or a timestamp",
        column.name()
    ))
}

fn dictionary(array: &ArrayRef, column: Column) -> Result<CellReader<'_>, ImportError> {
    let dictionary = array.as_any_dictionary();
    let keys = dictionary.normalized_keys();
    let values = reader(dictionary.values(), column)?;
    Ok(Box::new(move |row, column, cells| {
        if !array.is_null(row) {
            values(keys[row], column, cells);
        }
    }))
}

fn text<'a>(array: &'a ArrayRef, value: impl Fn(usize) -> &'a str + 'a) -> CellReader<'a> {
    Box::new(move |row, column, cells| {
        if !array.is_null(row) {
            cells.set(column, value(row));
        }
    })
}

fn when_known<'a>(array: &'a ArrayRef, value: impl Fn(usize) -> String + 'a) -> CellReader<'a> {
    Box::new(move |row, column, cells| {
        if !array.is_null(row) {
            cells.set(column, &value(row));
        }
    })
}

/// Milliseconds, rounded down; what overflows stays out of range and is refused later.
fn scaled(value: i64, (times, by): (i64, i64)) -> String {
    value.saturating_mul(times).div_euclid(by).to_string()
}
