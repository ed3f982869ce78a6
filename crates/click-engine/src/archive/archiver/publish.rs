//! The end of a span: its files, the manifest that names them, the archiver's checkpoint.

use std::collections::BTreeMap;

use click_core::planted::{Bug, planted};
use click_core::stage::source::Verdict;
use click_core::types::{Millis, Partition};

use super::Archiver;
use crate::archive::files::{Span, folder};
use crate::archive::manifest::{FORMAT, Manifest, Range};
use crate::archive::span::Open;
use crate::archive::{ArchiveError, sha256_hex};

impl Archiver {
    /// The manifest of the span, if there is one, and its hash.
    pub(super) fn existing(&self) -> Result<Option<(Manifest, String)>, ArchiveError> {
        let found = Manifest::read(&*self.objects, self.span.number)?;
        if let Some((manifest, _)) = &found
            && manifest.log_id != self.log.log_id().to_string()
        {
            return Err(ArchiveError::damaged(
                &Manifest::name(manifest.number),
                "is of another log",
            ));
        }
        Ok(found)
    }

    /// Files, manifest, checkpoint; all of it again if the object store does not answer.
    pub(super) fn publish(&mut self) -> Result<(), ArchiveError> {
        let Some(ends) = self.ends.clone() else { return Ok(()) };
        if planted(Bug::ArchiveCheckpointFirst) {
            self.engine.checkpoint_now()?;
        }
        self.name_span(self.target, &ends)?;
        (self.target, self.ends) = (self.span.from, None);
        Ok(self.engine.checkpoint_now()?)
    }

    /// Files, then the manifest that names them.
    pub(super) fn name_span(&mut self, until: Millis, ends: &[u64]) -> Result<(), ArchiveError> {
        self.verdicts.sort_unstable();
        let (manifest, hash) = match self.existing()? {
            Some(found) => self.adopt(found, until, ends)?,
            None => self.write(until, ends)?,
        };
        self.span = Open {
            number: manifest.number + 1,
            previous: hash,
            from: Millis(manifest.until),
            ranges: manifest.ranges,
            is_named: false,
        };
        self.is_ending = false;
        self.verdicts.clear();
        if let Some(judged) = &mut self.judged {
            judged.forget(self.span.from);
        }
        Ok(())
    }

    /// Somebody has archived this span: the same one, or something is wrong.
    fn adopt(
        &self,
        found: (Manifest, String),
        until: Millis,
        ends: &[u64],
    ) -> Result<(Manifest, String), ArchiveError> {
        let manifest = &found.0;
        let same = manifest.until == until.0
            && manifest.previous == self.span.previous
            && self.is_judged_as(manifest, until)
            && manifest.ranges.iter().map(|range| range.to).eq(ends.iter().copied());
        if same {
            return Ok(found);
        }
        Err(ArchiveError::Mismatch(format!(
            "{} tells of other records or verdicts than the log has: run `clickledger audit`",
            Manifest::name(manifest.number)
        )))
    }

    /// Whether the verdicts are those of a manifest; of a job's, which need not be asked for again,
    /// whether there are as many.
    fn is_judged_as(&self, manifest: &Manifest, until: Millis) -> bool {
        match &self.judged {
            Some(judged) if self.span.is_named => {
                let clicks = (self.verdicts.len() + judged.unknown(until)) as u64;
                manifest.by_class.values().sum::<u64>() == clicks
            }
            _ => manifest.by_class == by_class(&self.verdicts),
        }
    }

    fn write(&self, until: Millis, ends: &[u64]) -> Result<(Manifest, String), ArchiveError> {
        let timeline = self.engine.timeline();
        let policy_id =
            |index| timeline.get(index).map(|p| p.policy_id.clone()).unwrap_or_default();
        let span = Span {
            log: &*self.log,
            objects: &*self.objects,
            folder: folder(Millis(until.0 - 1))?,
            rows_per_file: self.config.rows_per_file,
            policy_id: &policy_id,
        };
        let (mut ranges, mut files) = (Vec::new(), Vec::new());
        for (before, end) in self.span.ranges.iter().zip(ends) {
            let mut range = Range { from: before.to, to: *end, ..before.clone() };
            let own = |partition: u32| {
                self.verdicts.partition_point(|v| v.partition < Partition(partition))
            };
            let judged = &self.verdicts[own(range.partition)..own(range.partition + 1)];
            files.extend(span.write(&mut range, judged)?);
            ranges.push(range);
        }
        let manifest = Manifest {
            format: FORMAT,
            log_id: self.log.log_id().to_string(),
            generation: self.log.generation(),
            number: self.span.number,
            previous: self.span.previous.clone(),
            from: self.span.from.0,
            until: until.0,
            ranges,
            files,
            by_class: by_class(&self.verdicts),
        };
        self.confirm(&manifest)?;
        let (name, bytes) = (Manifest::name(manifest.number), manifest.encode());
        if self.objects.put_new(&name, &bytes)? {
            return Ok((manifest, sha256_hex(&bytes)));
        }
        // Another archiver was first: its manifest is the truth.
        match self.existing()? {
            Some(theirs) => self.adopt(theirs, until, ends),
            None => Err(ArchiveError::damaged(&name, "is there and is not")),
        }
    }

    /// Looks at what the object store has of each file before a manifest names it.
    fn confirm(&self, manifest: &Manifest) -> Result<(), ArchiveError> {
        for file in &manifest.files {
            if self.objects.length(&file.name)? != Some(file.bytes) {
                let reason = "was written, but is not there in its length".to_owned();
                return Err(ArchiveError::Objects { name: file.name.clone(), reason });
            }
        }
        Ok(())
    }
}

fn by_class(verdicts: &[Verdict]) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for verdict in verdicts {
        *counts.entry(verdict.reasons.class().code().to_owned()).or_insert(0) += 1;
    }
    counts
}
