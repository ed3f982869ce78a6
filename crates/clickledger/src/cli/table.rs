//! The three formats of `show`: CSV (RFC 4180, LF), one JSON object a line, and an aligned table
//! for people. Values come as text and are printed as they are.

use std::io::Write;

use anyhow::Result;
use clap::ValueEnum;

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Table,
    Csv,
    Json,
}

/// A column's name and what its values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    pub name: &'static str,
    pub kind: Kind,
}

/// What JSON makes of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text, and money, which must not lose digits.
    Text,
    /// A whole number that every reader of JSON keeps exactly.
    Count,
}

/// Writes rows of text.
pub struct Writer<'a, W: Write> {
    columns: Vec<Column>,
    form: Form<'a, W>,
}

enum Form<'a, W: Write> {
    Csv(Box<csv::Writer<&'a mut W>>),
    Json(&'a mut W),
    Table(&'a mut W, Vec<Vec<String>>),
}

impl<'a, W: Write> Writer<'a, W> {
    pub fn new(format: Format, columns: Vec<Column>, out: &'a mut W) -> Result<Self> {
        let form = match format {
            Format::Csv => {
                let mut builder = csv::WriterBuilder::new();
                let mut csv = builder.terminator(csv::Terminator::Any(b'\n')).from_writer(out);
                csv.write_record(columns.iter().map(|column| column.name))?;
                Form::Csv(Box::new(csv))
            }
            Format::Json => Form::Json(out),
            Format::Table => Form::Table(out, Vec::new()),
        };
        Ok(Writer { columns, form })
    }

    /// One row, a value per column.
    pub fn row(&mut self, values: &[String]) -> Result<()> {
        debug_assert_eq!(values.len(), self.columns.len());
        match &mut self.form {
            Form::Csv(csv) => csv.write_record(values)?,
            Form::Json(out) => {
                for (index, (column, value)) in self.columns.iter().zip(values).enumerate() {
                    let open = if index == 0 { '{' } else { ',' };
                    write!(out, "{open}\"{}\":", column.name)?;
                    match column.kind {
                        Kind::Count => write!(out, "{value}")?,
                        Kind::Text => serde_json::to_writer(&mut **out, value)?,
                    }
                }
                out.write_all(b"}\n")?;
            }
            Form::Table(_, rows) => rows.push(values.to_vec()),
        }
        Ok(())
    }

    /// Writes what is left.
    pub fn finish(self) -> Result<()> {
        match self.form {
            Form::Csv(mut csv) => csv.flush()?,
            Form::Json(_) => {}
            Form::Table(out, rows) => aligned(&self.columns, &rows, out)?,
        }
        Ok(())
    }
}

/// Columns that say nothing (all empty or 0) are left out.
fn aligned(columns: &[Column], rows: &[Vec<String>], out: &mut impl Write) -> Result<()> {
    let says = |index: usize| rows.iter().any(|row| !matches!(row[index].as_str(), "" | "0"));
    let shown: Vec<_> = (0..columns.len()).filter(|index| *index == 0 || says(*index)).collect();
    let width = |index: usize| {
        let values = rows.iter().map(|row| row[index].escape_debug().count());
        values.chain([columns[index].name.len()]).max().unwrap_or(0)
    };
    let widths: Vec<_> = shown.iter().map(|index| width(*index)).collect();
    let mut line = |value: &dyn Fn(usize) -> String| -> Result<()> {
        let mut text = String::new();
        for (index, width) in shown.iter().zip(&widths) {
            let value = value(*index);
            match columns[*index].kind {
                Kind::Count => text.push_str(&format!("{value:>width$}  ")),
                Kind::Text => text.push_str(&format!("{value:<width$}  ")),
            }
        }
        writeln!(out, "{}", text.trim_end())?;
        Ok(())
    };
    line(&|index| columns[index].name.to_owned())?;
    for row in rows {
        line(&|index| row[index].escape_debug().to_string())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 3] = [
        Column { name: "ad_id", kind: Kind::Text },
        Column { name: "none", kind: Kind::Count },
        Column { name: "measured", kind: Kind::Count },
    ];

    fn check(format: Format, expected: &str) {
        let mut out = Vec::new();
        let mut writer = Writer::new(format, COLUMNS.to_vec(), &mut out).unwrap();
        for (ad, count) in [("", "1"), ("a\"b,c", "22")] {
            writer.row(&[ad.to_owned(), "0".to_owned(), count.to_owned()]).unwrap();
        }
        writer.finish().unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn csv_quotes_only_what_needs_it() {
        check(Format::Csv, "ad_id,none,measured\n,0,1\n\"a\"\"b,c\",0,22\n");
    }

    #[test]
    fn json_is_an_object_a_line() {
        check(
            Format::Json,
            "{\"ad_id\":\"\",\"none\":0,\"measured\":1}\n\
             {\"ad_id\":\"a\\\"b,c\",\"none\":0,\"measured\":22}\n",
        );
    }

    #[test]
    fn tables_leave_out_what_says_nothing() {
        check(Format::Table, "ad_id   measured\n               1\na\\\"b,c        22\n");
    }
}
