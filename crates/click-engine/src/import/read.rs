//! The four readers: CSV, NDJSON, access log and Parquet, each handing rows of cells to one sink
//! with the line (Parquet: row) number. A bad line is a refusal, never an end of the reading.

use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::Path;

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use super::columns::{Cells, Column, Names};
use super::lines::Lines;
use super::{Format, ImportError, access_log, parquet};

const BUFFER: usize = 1024 * 1024;

/// Receives every row.
pub trait RowSink {
    /// Line number, the row or why it is refused, the line's text where there is one, and how many
    /// bytes of the file have been read.
    fn row(
        &mut self,
        line: u64,
        cells: Result<&Cells, String>,
        text: &str,
        read: u64,
    ) -> Result<(), ImportError>;
    /// A column of the file that is not used.
    fn ignored(&mut self, column: &str);
}

/// Hands every row of `path` to `sink`.
pub fn rows(
    path: &Path,
    format: Format,
    names: &Names,
    sink: &mut dyn RowSink,
) -> Result<(), ImportError> {
    match format {
        Format::Csv => csv_rows(path, names, sink),
        Format::Ndjson => line_rows(path, sink, &mut |_, line, cells| json(line, names, cells)),
        Format::AccessLog => line_rows(path, sink, &mut access_log::parse),
        Format::Parquet => parquet::rows(path, names, sink),
    }
}

/// The format by the name of the file, else by its beginning.
pub fn detect(path: &Path) -> Result<Format, ImportError> {
    let extension = path.extension().and_then(|ext| ext.to_str()).unwrap_or("");
    match extension.to_ascii_lowercase().as_str() {
        "csv" => return Ok(Format::Csv),
        "ndjson" | "jsonl" | "json" => return Ok(Format::Ndjson),
        "parquet" => return Ok(Format::Parquet),
        _ => {}
    }
    let mut head = Vec::new();
    let file = open(path)?;
    file.take(64 * 1024).read_to_end(&mut head).map_err(|error| ImportError::io(path, &error))?;
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or(&head);
    let line = String::from_utf8_lossy(line);
    Ok(if head.starts_with(b"PAR1") {
        Format::Parquet
    } else if line.trim_start().starts_with('{') {
        Format::Ndjson
    } else if access_log::parse(1, line.trim_end(), &mut Cells::default()).is_ok() {
        Format::AccessLog
    } else {
        Format::Csv
    })
}

pub(super) fn open(path: &Path) -> Result<File, ImportError> {
    File::open(path).map_err(|error| ImportError::io(path, &error))
}

fn csv_rows(path: &Path, names: &Names, sink: &mut dyn RowSink) -> Result<(), ImportError> {
    let mut file = open(path)?;
    skip_bom(&mut file).map_err(|error| ImportError::io(path, &error))?;
    let mut reader =
        csv::ReaderBuilder::new().flexible(true).buffer_capacity(BUFFER).from_reader(file);
    let header = reader.headers().map_err(|error| ImportError::Header(error.to_string()))?.clone();
    let found: Vec<_> = header.iter().collect();
    let columns = names.header(&found)?;
    for (name, column) in found.iter().zip(&columns) {
        if column.is_none() {
            sink.ignored(name);
        }
    }
    let mut record = csv::ByteRecord::new();
    let mut cells = Cells::default();
    loop {
        match reader.read_byte_record(&mut record) {
            Ok(false) => return Ok(()),
            Ok(true) => {}
            Err(error) => return Err(ImportError::Header(error.to_string())),
        }
        let line = record.position().map_or(0, csv::Position::line);
        let row = csv_cells(&record, &columns, &mut cells).map(|()| &cells);
        let text = if row.is_err() { joined(&record) } else { String::new() };
        sink.row(line, row, &text, reader.position().byte())?;
    }
}

fn skip_bom(file: &mut File) -> std::io::Result<()> {
    let mut head = [0; 3];
    let got = file.read(&mut head)?;
    if got < 3 || head != *b"\xef\xbb\xbf" {
        file.rewind()?;
    }
    Ok(())
}

fn csv_cells(
    record: &csv::ByteRecord,
    columns: &[Option<Column>],
    cells: &mut Cells,
) -> Result<(), String> {
    if record.len() != columns.len() {
        let (got, want) = (record.len(), columns.len());
        return Err(format!("row has {got} fields, the header has {want}"));
    }
    cells.clear();
    for (field, column) in record.iter().zip(columns) {
        let Some(column) = column else { continue };
        let value = std::str::from_utf8(field);
        cells.set(*column, value.map_err(|_| format!("{} is not UTF-8", column.name()))?);
    }
    Ok(())
}

fn joined(record: &csv::ByteRecord) -> String {
    let fields: Vec<_> = record.iter().map(String::from_utf8_lossy).collect();
    fields.join(",")
}

type ParseLine<'a> = &'a mut dyn FnMut(u64, &str, &mut Cells) -> Result<(), String>;

fn line_rows(path: &Path, sink: &mut dyn RowSink, parse: ParseLine<'_>) -> Result<(), ImportError> {
    let mut lines = Lines::new(BufReader::with_capacity(BUFFER, open(path)?));
    let mut cells = Cells::default();
    loop {
        let read = lines.bytes_read();
        let next = lines.next_line().map_err(|error| ImportError::io(path, &error))?;
        match next {
            None => return Ok(()),
            Some((_, Ok(text))) if text.trim().is_empty() => {}
            Some((number, Err(reason))) => sink.row(number, Err(reason), "", read)?,
            Some((number, Ok(text))) => {
                let row = parse(number, text, &mut cells).map(|()| &cells);
                sink.row(number, row, text, read)?;
            }
        }
    }
}

fn json(line: &str, names: &Names, cells: &mut Cells) -> Result<(), String> {
    cells.clear();
    let mut deserializer = serde_json::Deserializer::from_str(line);
    let done =
        deserializer.deserialize_map(Object { names, cells }).and_then(|()| deserializer.end());
    done.map_err(|error| error.to_string())
}

struct Object<'a> {
    names: &'a Names,
    cells: &'a mut Cells,
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("one JSON object per line")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        use serde::de::Error;
        while let Some(key) = map.next_key::<String>()? {
            let Some(column) = self.names.find(&key) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            if self.cells.is_set(column) {
                return Err(A::Error::custom(format!("'{key}' appears twice")));
            }
            match map.next_value::<serde_json::Value>()? {
                serde_json::Value::Null => {}
                serde_json::Value::String(text) => self.cells.set(column, &text),
                serde_json::Value::Number(number) => self.cells.set(column, &number.to_string()),
                serde_json::Value::Bool(value) => self.cells.set(column, &value.to_string()),
                serde_json::Value::Array(_) | serde_json::Value::Object(_) => {
                    return Err(A::Error::custom(format!("'{key}' is no text, number or bool")));
                }
            }
        }
        Ok(())
    }
}
