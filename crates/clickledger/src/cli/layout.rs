//! What a tracker knows of its log's parts, in a file of its data directory: with it a start needs
//! no cluster.

use anyhow::{Context, Result, bail};
use click_core::record::{Layout, Part};
use click_engine::disk::{RealDisk, read_file, write_file_durable};
use serde::{Deserialize, Serialize};

use super::data::DataDir;

/// Largest file that is believed to be one.
const LIMIT: u64 = 1 << 20;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    log_id: String,
    number: u32,
    parts: Vec<FilePart>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FilePart {
    topic: String,
    partitions: u32,
}

/// The newest layout that is known; none if the log has only the part that it began with.
///
/// # Errors
/// If the file is there and cannot be read.
pub fn read(data: &DataDir) -> Result<Option<Layout>> {
    let path = data.layout();
    let name = path.display();
    let bytes = match read_file(&RealDisk, &path, LIMIT) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot read {name}")),
    };
    let advice = || format!("{name} is no layout: remove it, and start while the cluster answers");
    let file: File = serde_json::from_slice(&bytes).with_context(advice)?;
    let Ok(log_id) = u128::from_str_radix(&file.log_id, 16) else { bail!(advice()) };
    let part = |part: FilePart| Part { topic: part.topic, partitions: part.partitions };
    let parts = file.parts.into_iter().map(part).collect();
    Ok(Some(Layout { log_id: log_id.to_be_bytes(), number: file.number, parts }))
}

/// Makes it durable.
///
/// # Errors
/// If it cannot be written.
pub fn write(data: &DataDir, layout: &Layout) -> Result<()> {
    let part = |part: &Part| FilePart { topic: part.topic.clone(), partitions: part.partitions };
    let file = File {
        log_id: format!("{:032x}", u128::from_be_bytes(layout.log_id)),
        number: layout.number,
        parts: layout.parts.iter().map(part).collect(),
    };
    let path = data.layout();
    let bytes = serde_json::to_vec_pretty(&file)?;
    let written = write_file_durable(&RealDisk, &path, &bytes);
    written.with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::new(dir.path());
        assert_eq!(read(&data).unwrap(), None);
        let part = |topic: &str, partitions| Part { topic: topic.into(), partitions };
        let parts = vec![part("a", 2), part("b", 5)];
        let layout = Layout { log_id: [7; 16], number: 1, parts };
        write(&data, &layout).unwrap();
        assert_eq!(read(&data).unwrap(), Some(layout));
        std::fs::write(data.layout(), "{}").unwrap();
        assert!(format!("{:#}", read(&data).unwrap_err()).contains("is no layout: remove it"));
    }
}
