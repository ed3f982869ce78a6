//! A cluster in one thread: machines of each stage, channels from each to each of the next, and
//! whatever order of events between them the dice say.

use std::collections::{BTreeMap, VecDeque};

use click_core::fold::{groups_of, shard_of};
use click_core::hosted::put_record;
use click_core::record::{Kind as RecordKind, Record};
use click_core::types::{Millis, Offset};
use click_jvm::frames::{Frame, FrameReader, Frames, Port, Taken};
use click_jvm::group_of;
use click_jvm::stage::{Kind, Stage};
use click_sim::check::{Dice, World};

use super::sink::Sink;

/// What travels in a channel.
#[derive(Clone)]
enum Message {
    Frame(Vec<u8>),
    Watermark(u64),
    Barrier,
}

/// A way into a machine.
#[derive(Default)]
struct Channel {
    waiting: VecDeque<Message>,
    watermark: u64,
    /// Its barrier has come, and not yet those of the other channels.
    is_blocked: bool,
    /// From a reader of the log: knows no watermark.
    is_timeless: bool,
}

struct Machine {
    kind: Kind,
    stage: Stage,
    inputs: Vec<Channel>,
    told: u64,
    /// What its stage has remembered since it was opened.
    journal: Vec<Vec<u8>>,
}

/// One consistent cut.
#[derive(Clone, Default)]
pub struct Checkpoint {
    /// By stage number and key group.
    states: BTreeMap<(i32, u8), Vec<u8>>,
    /// Of the user stages, oldest first for each key group, where they keep any.
    journals: Vec<Vec<u8>>,
    /// Begins with what all journals have come to.
    is_short: bool,
    /// By partition, the next record that the readers hand out.
    positions: Vec<usize>,
    /// Machines whose part is missing.
    missing: usize,
}

/// See the module.
pub struct Cluster<'w> {
    world: &'w World,
    dice: Dice,
    /// User stages keep journals.
    is_journalled: bool,
    /// Those that the stages were opened with.
    journals: Vec<Vec<u8>>,
    machines: Vec<Machine>,
    /// By stage number, its first machine and how many there are.
    places: Vec<(usize, usize)>,
    readers: usize,
    read: Vec<usize>,
    running: Option<Checkpoint>,
    done: Option<Checkpoint>,
    /// No stage goes over one of these without a stop.
    stops: Vec<u64>,
}

const STAGES: [Kind; 5] = [Kind::Lead, Kind::Sequence, Kind::User, Kind::Source, Kind::Window];

impl<'w> Cluster<'w> {
    pub fn new(
        world: &'w World,
        (count, is_journalled): (usize, bool),
        from: Option<&Checkpoint>,
        seed: u64,
    ) -> Self {
        let readers = count.min(world.log.len());
        let (mut machines, mut places) = (Vec::new(), Vec::new());
        for kind in STAGES {
            let here = if kind == Kind::Lead { 1 } else { count };
            places.push((machines.len(), here));
            for machine in 0..here {
                let (timeless, others) = match kind {
                    Kind::Lead => (readers, 0),
                    Kind::Sequence => (readers, 1),
                    Kind::User | Kind::JournalledUser => (0, 1 + count),
                    Kind::Source | Kind::Window => (0, count),
                };
                let channel = |is_timeless| Channel { is_timeless, ..Channel::default() };
                let inputs = (0..timeless + others).map(|n| channel(n < timeless)).collect();
                let journalled = is_journalled && kind == Kind::User;
                let as_kind = if journalled { Kind::JournalledUser } else { kind };
                let stage = open(world, (kind, as_kind), (machine, here), from);
                machines.push(Machine { kind, stage, inputs, told: 0, journal: Vec::new() });
            }
        }
        let read = from.map_or_else(|| vec![0; world.log.len()], |from| from.positions.clone());
        Self {
            world,
            dice: Dice::new(seed),
            is_journalled,
            journals: from.map_or_else(Vec::new, |from| from.journals.clone()),
            machines,
            places,
            readers,
            read,
            running: None,
            done: None,
            stops: Vec::new(),
        }
    }

    /// From now on every stage stops at each of these instants, in order.
    pub fn stop_at(&mut self, instants: &[u64]) {
        self.stops = instants.to_vec();
    }

    pub fn last_checkpoint(&self) -> Option<Checkpoint> {
        self.done.clone()
    }

    pub fn gaps(&self) -> u64 {
        self.machines.iter().map(|machine| machine.stage.gaps().expect("it is started")).sum()
    }

    /// Lets barriers into the channels behind all readers at once, each behind what it has read.
    pub fn begin_checkpoint(&mut self) {
        if self.running.is_some() {
            return;
        }
        let is_short = self.dice.percent(50);
        self.running = Some(Checkpoint {
            states: BTreeMap::new(),
            journals: if is_short { Vec::new() } else { self.journals.clone() },
            is_short,
            positions: self.read.clone(),
            missing: self.machines.len(),
        });
        for reader in 0..self.readers {
            self.tell_from_reader(reader, &Message::Barrier);
        }
    }

    /// Something happens somewhere; false once nothing can.
    pub fn step(&mut self, sink: &mut Sink) -> bool {
        match self.dice.below(4) {
            0 => self.read_some(),
            1 => {
                let number = self.dice.below(self.machines.len());
                self.tick(number, sink);
            }
            _ => self.deliver_one(sink),
        }
        self.is_anything_left()
    }

    fn is_anything_left(&mut self) -> bool {
        let all_read = self.read.iter().zip(&self.world.log).all(|(read, log)| *read == log.len());
        let waits = |machine: &Machine| machine.inputs.iter().any(|c| !c.waiting.is_empty());
        let end = self.world.history.reference.watermark();
        !all_read || self.machines.iter().any(|machine| waits(machine) || machine.told < end)
    }

    /// A reader hands out a block of a partition.
    fn read_some(&mut self) {
        let number = self.dice.below(self.world.log.len());
        let (log, from) = (&self.world.log[number], self.read[number]);
        let to = (from + self.dice.pick(&[1, 7, 60, 600])).min(log.len());
        if to == from {
            return;
        }
        self.read[number] = to;
        let number = u32::try_from(number).expect("few partitions");
        let mut payload = number.to_le_bytes().to_vec();
        for (offset, (time, record)) in (from as u64..).zip(&log[from..to]) {
            put_record(&mut payload, Offset(offset), Millis(*time), record);
        }
        let group = group_of(number);
        let frame = framed(Port::Records, group, &payload);
        let (first, count) = self.places[usize::from(number != 0)];
        let machine = first + shard_of(group, count);
        let reader = number as usize % self.readers;
        self.machines[machine].inputs[reader].waiting.push_back(Message::Frame(frame));
    }

    /// A stage of sequences looks at the clock, which other stages do not.
    fn tick(&mut self, number: usize, sink: &mut Sink) {
        match self.machines[number].kind {
            Kind::Lead => self.advance(number, u64::MAX, sink),
            Kind::Sequence => {
                let w = self.machines[number].watermark();
                self.advance(number, w, sink);
            }
            Kind::User | Kind::JournalledUser | Kind::Source | Kind::Window => {}
        }
    }

    fn deliver_one(&mut self, sink: &mut Sink) {
        let number = self.dice.below(self.machines.len());
        let machine = &mut self.machines[number];
        let ready = |channel: &Channel| !channel.is_blocked && !channel.waiting.is_empty();
        let ready: Vec<usize> =
            (0..machine.inputs.len()).filter(|n| ready(&machine.inputs[*n])).collect();
        if ready.is_empty() {
            return;
        }
        let input = self.dice.pick(&ready);
        let channel = &mut machine.inputs[input];
        match channel.waiting.pop_front().expect("one waits") {
            Message::Frame(frame) => {
                machine.stage.apply(&frame).expect("our own frames");
                self.forward(number, sink);
            }
            Message::Watermark(w) => {
                channel.watermark = channel.watermark.max(w);
                let w = machine.watermark();
                self.advance(number, w, sink);
            }
            Message::Barrier => {
                channel.is_blocked = true;
                if machine.inputs.iter().all(|channel| channel.is_blocked) {
                    machine.inputs.iter_mut().for_each(|channel| channel.is_blocked = false);
                    self.take_snapshots(number);
                    self.tell_all(number, &Message::Barrier);
                }
            }
        }
    }

    /// Goes to `w` or as far as it can, by way of the stops in between.
    fn advance(&mut self, number: usize, w: u64, sink: &mut Sink) {
        loop {
            let told = self.machines[number].told;
            let stop = self.stops.get(self.stops.partition_point(|stop| *stop <= told));
            let next = stop.map_or(w, |stop| w.min(*stop));
            self.go(number, next, sink);
            if next == w || self.machines[number].told < next {
                return;
            }
        }
    }

    fn go(&mut self, number: usize, w: u64, sink: &mut Sink) {
        let machine = &mut self.machines[number];
        if w <= machine.told {
            return;
        }
        let reached = machine.stage.advance(Millis(w)).expect("in turn").0;
        self.forward(number, sink);
        if reached > self.machines[number].told {
            self.machines[number].told = reached;
            self.tell_all(number, &Message::Watermark(reached));
        }
    }

    /// Sends what waits in a stage on its way.
    fn forward(&mut self, number: usize, sink: &mut Sink) {
        let mut buffer = vec![0; 1 << 10];
        loop {
            let taken = match self.machines[number].stage.drain(&mut buffer) {
                Taken::Bytes(0) => return,
                Taken::Bytes(taken) => taken,
                Taken::TooSmall(needed) => {
                    buffer = vec![0; needed];
                    continue;
                }
            };
            for frame in FrameReader::new(&buffer[..taken]) {
                self.route(number, &frame.expect("our own frames"), sink);
            }
        }
    }

    fn route(&mut self, number: usize, frame: &Frame<'_>, sink: &mut Sink) {
        let kind = self.machines[number].kind;
        let bytes = framed(frame.port, frame.group, frame.payload);
        match frame.port {
            Port::Next => self.send(number, next(kind), frame.group, bytes),
            Port::Policies => {
                if kind == Kind::Lead {
                    self.send(number, Kind::Sequence, frame.group, bytes.clone());
                }
                self.send(number, next(kind), frame.group, bytes);
            }
            Port::Row => sink.take_row(frame.payload),
            Port::Verdicts => sink.take_verdicts(frame.payload),
            Port::DeadLetters => sink.take_dead_letters(frame.payload),
            Port::Mark => {}
            Port::Journal => self.machines[number].journal.push(bytes),
            Port::Records => panic!("no stage hands out records"),
        }
    }

    fn send(&mut self, from: usize, to: Kind, group: u8, bytes: Vec<u8>) {
        let (first, count) = self.places[to as usize];
        let input = self.input_of(from, to);
        let machine = &mut self.machines[first + shard_of(group, count)];
        machine.inputs[input].waiting.push_back(Message::Frame(bytes));
    }

    /// The channel by which a machine is heard by those of another stage.
    fn input_of(&self, from: usize, to: Kind) -> usize {
        let kind = self.machines[from].kind;
        let place = from - self.places[kind as usize].0;
        match (kind, to) {
            (Kind::Lead, Kind::Sequence) => self.readers,
            (Kind::Sequence, _) => 1 + place,
            _ => place,
        }
    }

    fn tell_from_reader(&mut self, reader: usize, message: &Message) {
        for machine in &mut self.machines {
            if let Some(channel) = machine.inputs.get_mut(reader).filter(|c| c.is_timeless) {
                channel.waiting.push_back(message.clone());
            }
        }
    }

    fn tell_all(&mut self, number: usize, message: &Message) {
        let kind = self.machines[number].kind;
        let also = (kind == Kind::Lead).then_some(Kind::Sequence);
        let stages = also.into_iter().chain((kind != Kind::Window).then(|| next(kind)));
        for to in stages {
            let ((first, count), input) = (self.places[to as usize], self.input_of(number, to));
            for machine in &mut self.machines[first..first + count] {
                machine.inputs[input].waiting.push_back(message.clone());
            }
        }
    }

    fn take_snapshots(&mut self, number: usize) {
        let (machine, running) = (&mut self.machines[number], self.running.as_mut());
        let (kind, running) = (machine.kind, running.expect("a checkpoint is on"));
        let (first, count) = self.places[kind as usize];
        for group in groups_of(number - first, count) {
            let mut state = Vec::new();
            machine.stage.snapshot(group, &mut state).expect("a group of its own");
            running.states.insert((kind as i32, group), state);
        }
        if kind == Kind::User && self.is_journalled {
            let groups = groups_of(number - first, count);
            running.journals.extend(match running.is_short {
                true => groups.flat_map(|group| machine.whole_journal(group)).collect(),
                false => machine.journal.clone(),
            });
        }
        running.missing -= 1;
        if running.missing == 0 {
            self.done = self.running.take();
        }
    }
}

impl Machine {
    /// The least that its channels have told.
    fn watermark(&self) -> u64 {
        let timed = self.inputs.iter().filter(|channel| !channel.is_timeless);
        timed.map(|channel| channel.watermark).min().unwrap_or(0)
    }

    /// Frames of what all journals so far have come to.
    fn whole_journal(&mut self, group: u8) -> Vec<Vec<u8>> {
        self.stage.journal(group).expect("a group of its own");
        let mut frames = vec![0; self.stage.pending()];
        assert_eq!(self.stage.drain(&mut frames), Taken::Bytes(frames.len()));
        let frames = FrameReader::new(&frames).map(|frame| frame.expect("our own frames"));
        frames.map(|frame| framed(frame.port, frame.group, frame.payload)).collect()
    }
}

/// Where clicks and counts of a stage go.
fn next(kind: Kind) -> Kind {
    match kind {
        Kind::Lead | Kind::Sequence => Kind::User,
        Kind::User | Kind::JournalledUser => Kind::Source,
        Kind::Source => Kind::Window,
        Kind::Window => panic!("nothing follows the windows"),
    }
}

fn framed(port: Port, group: u8, payload: &[u8]) -> Vec<u8> {
    let mut frames = Frames::default();
    frames.put(port, group, &[payload]);
    let mut bytes = vec![0; frames.pending()];
    assert_eq!(frames.take(&mut bytes), Taken::Bytes(bytes.len()));
    bytes
}

fn open(
    world: &World,
    (kind, as_kind): (Kind, Kind),
    (machine, count): (usize, usize),
    from: Option<&Checkpoint>,
) -> Stage {
    let header = RecordKind::Header(world.header);
    let header = Record { sent_at: None, transport: None, previous: None, kind: header }.to_bytes();
    let groups = groups_of(machine, count);
    let mut stage = Stage::open(as_kind, groups.clone(), &header).expect("a good header");
    for group in groups {
        let state = from.and_then(|from| from.states.get(&(kind as i32, group)));
        for piece in state.iter().flat_map(|state| state.chunks(100)) {
            stage.restore(group, piece).expect("not started yet");
        }
    }
    stage.start().expect("our own snapshots");
    for journal in from.iter().flat_map(|from| &from.journals) {
        if as_kind == Kind::JournalledUser {
            stage.apply(journal).expect("our own journal");
        }
    }
    stage
}
