#include "tests/raft/core/cluster.h"

#include <algorithm>

namespace dqlite::raft {

namespace {

constexpr uint8_t kStreamMark = 0xfe;

}  // namespace

SharedBytes command(const std::string& text) {
  return std::make_shared<const Bytes>(text.begin(), text.end());
}

SharedBytes stream_command(uint64_t stream, EntryId base, uint64_t salt) {
  Bytes bytes;
  codec::Writer writer(bytes);
  writer.u8(kStreamMark);
  writer.u64(stream);
  writer.u64(base.index);
  writer.u64(base.term);
  writer.u64(salt);
  return std::make_shared<const Bytes>(std::move(bytes));
}

Cluster::Cluster(int voters, Index base) {
  for (int i = 1; i <= voters; i++) {
    const auto id = static_cast<NodeId>(i);
    first_configuration.members.push_back(
        {id, 1000 + id, "host" + std::to_string(i) + ":1", MemberRole::kVoter, false});
  }
  for (int i = 1; i <= voters; i++) {
    TestMember& m = add_blank(static_cast<NodeId>(i));
    m.core.reset();
    m.disk.start = {{base, base == 0 ? 0ULL : 1ULL}, first_configuration, base};
    m.disk.hard_state.term = base == 0 ? 0 : 1;
    m.durable_machine.last = m.disk.start.last;
    start(m);
  }
}

TestMember& Cluster::add_blank(NodeId id) {
  auto& slot = members[id] = std::make_unique<TestMember>();
  slot->id = id;
  slot->options.self = id;
  slot->options.seed = 7;
  start(*slot);
  return *slot;
}

void Cluster::start(TestMember& m) {
  m.log = m.disk.entries;
  m.writes.clear();
  m.log_reads.clear();
  m.install.reset();
  m.apply_to = 0;
  m.machine = m.durable_machine;
  m.seen_term = 0;
  m.seen_commit = m.disk.start.last.index;
  m.seen_leading = false;
  m.options.first_question += 1ULL << 32;
  m.core = std::make_unique<Core>(m.options, m.disk.recovered());
  if (m.machine.last.index > m.disk.start.last.index) m.core->applied(m.machine.last.index);
  collect(m);
}

void Cluster::set_options(const std::function<void(CoreOptions&)>& change) {
  for (auto& [id, m] : members) {
    change(m->options);
    start(*m);
  }
}

void Cluster::set_first_role(NodeId id, MemberRole role) {
  for (Member& m : first_configuration.members) {
    if (m.id == id) m.role = role;
  }
  for (auto& [other, m] : members) {
    m->disk.start.configuration = first_configuration;
    start(*m);
  }
}

void Cluster::set_log(NodeId id, const std::vector<Term>& terms, Term term, Index commit) {
  TestMember& m = member(id);
  m.disk.entries.clear();
  m.disk.hard_state = {term, 0};
  Term previous = m.disk.start.last.term;
  for (Term entry_term : terms) {
    const Index index = m.disk.last_index() + 1;
    Entry entry{index, entry_term, EntryKind::kCommand, command("old " + name(EntryId{index, entry_term}))};
    observer.entry_appended(entry, previous, id);
    previous = entry_term;
    m.disk.entries.push_back(entry);
  }
  m.disk.commit = commit;
  start(m);
}

void Cluster::observe(TestMember& m) {
  const Core& core = *m.core;
  if (m.poisoned) return;
  if (core.term() < m.seen_term) observer.fail("the term of " + name(m) + " went back");
  m.seen_term = core.term();
  if (core.commit_index() < m.seen_commit) observer.fail("the commit index of " + name(m) + " went back");
  for (Index index = m.seen_commit + 1; index <= core.commit_index(); index++) {
    if (index <= m.disk.start.last.index) continue;
    observer.committed(m, index, m.log[index - m.disk.start.last.index - 1]);
  }
  m.seen_commit = core.commit_index();
  const bool leads = core.role() == Role::kLeader;
  if (leads && !m.seen_leading) observer.became_leader(m);
  m.seen_leading = leads;
  if (Status status = core.check_invariants(); !status) observer.fail(name(m) + ": " + status.sentence());
}

void Cluster::route(TestMember& m, Message message) {
  observer.sent(m, message);
  network.push_back(std::move(message));
}

void Cluster::collect(TestMember& m) {
  Output out = m.core->take();
  if (out.poisoned) m.poisoned = out.poisoned;
  if (out.repaired) m.disk.mute_below = 0;
  for (Persist& persist : out.persist) {
    if (persist.truncate_from != 0) m.log.resize(persist.truncate_from - m.disk.start.last.index - 1);
    for (const Entry& entry : persist.entries) {
      if (entry.index != m.disk.start.last.index + m.log.size() + 1) {
        observer.fail(name(m) + " persists entry " + name(entry.id()) + " behind a gap");
      }
      observer.entry_appended(entry, m.log.empty() ? m.disk.start.last.term : m.log.back().term, m.id);
      m.log.push_back(entry);
    }
    m.writes.push_back(std::move(persist));
  }
  for (Message& message : out.send) route(m, std::move(message));
  if (out.apply_to != 0) m.apply_to = out.apply_to;
  for (auto& event : out.leadership) m.leadership.push_back(event);
  for (auto& outcome : out.proposals) m.proposals.push_back(std::move(outcome));
  for (auto& outcome : out.reads) m.reads.push_back(std::move(outcome));
  m.log_reads_asked += out.log_reads.size();
  for (auto& request : out.log_reads) m.log_reads.push_back(request);
  for (auto& request : out.snapshots) m.snapshots.push_back(request);
  for (auto& chunk : out.snapshot_chunks) m.install = std::move(chunk);
  if (out.transfer) m.transfer = out.transfer;
  for (const Message& ack : out.snapshot_acks) {
    const auto& body = std::get<SnapshotAck>(ack.body);
    m.core->snapshot_sent(ack.from, {body.next_offset, 0}, body.installed);
  }
  observe(m);
  if (!out.snapshot_acks.empty()) collect(m);
}

bool Cluster::write_one(TestMember& m) {
  if (!m.core || m.writes.empty()) return false;
  Persist persist = std::move(m.writes.front());
  m.writes.pop_front();
  m.disk.write(persist);
  for (Message& message : persist.after) route(m, std::move(message));
  m.core->persisted(persist.token);
  collect(m);
  return true;
}

bool Cluster::apply_some(TestMember& m, Index count) {
  if (!m.core || m.machine.last.index >= m.apply_to) return false;
  for (; count > 0 && m.machine.last.index < m.apply_to; count--) {
    const Entry& entry = m.log[m.machine.last.index - m.disk.start.last.index];
    m.machine.hash = mix(mix(m.machine.hash, entry.term), hash_of(entry));
    m.machine.last = entry.id();
    if (entry.kind == EntryKind::kCommand && entry.payload && !entry.payload->empty() &&
        entry.payload->front() == kStreamMark) {
      codec::Reader reader(*entry.payload);
      reader.u8();
      const uint64_t stream = reader.u64();
      const EntryId base{reader.u64(), reader.u64()};
      const EntryId newest = m.machine.streams[stream];
      if (newest != base) {
        observer.fail("[A1] entry " + name(entry.id()) + " of stream " + std::to_string(stream) +
                      " stands on " + name(base) + ", but the stream's newest is " + name(newest));
      }
      m.machine.streams[stream] = entry.id();
    }
    observer.applied(m, entry);
  }
  m.core->applied(m.machine.last.index);
  collect(m);
  return true;
}

bool Cluster::answer_log_read(TestMember& m) {
  if (!m.core || m.log_reads.empty()) return false;
  const LogReadRequest request = m.log_reads.front();
  m.log_reads.erase(m.log_reads.begin());
  std::vector<Entry> entries;
  size_t bytes = 0;
  for (Index index = request.from; index <= request.to && index > m.disk.start.last.index; index++) {
    if (index > m.disk.last_index() || bytes > request.max_bytes) break;
    entries.push_back(m.disk.entries[index - m.disk.start.last.index - 1]);
    bytes += entries.back().size_bytes();
  }
  m.core->entries_read(request.peer, std::move(entries));
  collect(m);
  return true;
}

// One chunk carries the whole state: the machine's hash and streams as bytes.
void Cluster::send_snapshot(TestMember& m, NodeId to) {
  if (!m.core || m.core->role() != Role::kLeader) return;
  const LogStart start = m.core->log_start_at(m.machine.last.index).value();
  Bytes state;
  codec::Writer writer(state);
  writer.u64(m.machine.hash);
  for (const auto& [stream, newest] : m.machine.streams) {
    writer.u64(stream);
    writer.u64(newest.index);
    writer.u64(newest.term);
  }
  SnapshotChunk chunk;
  chunk.stream = m.machine.last.index;
  chunk.last = start.last;
  chunk.configuration = encode(start.configuration);
  chunk.configuration_index = start.configuration_index;
  chunk.total = state.size();
  chunk.data = std::make_shared<const Bytes>(std::move(state));
  chunk.done = true;
  route(m, {m.id, to, m.core->term(), std::move(chunk)});
}

bool Cluster::finish_install(TestMember& m, bool ok) {
  if (!m.core || !m.install) return false;
  const Message message = std::move(*m.install);
  m.install.reset();
  const auto& chunk = std::get<SnapshotChunk>(message.body);
  if (ok) {
    for (const Persist& persist : m.writes) {
      if (!persist.entries.empty() || persist.truncate_from != 0) {
        observer.fail(name(m) + " installs a snapshot while entries are on their way to its disk");
      }
    }
    m.disk.start = {chunk.last, decode_configuration(chunk.configuration).value(), chunk.configuration_index};
    m.disk.entries.clear();
    m.disk.commit = chunk.last.index;
    m.log.clear();
    codec::Reader reader(*chunk.data);
    m.machine = {};
    m.machine.last = chunk.last;
    m.machine.hash = reader.u64();
    while (reader.remaining() > 0) {
      const uint64_t stream = reader.u64();
      const Index index = reader.u64();
      m.machine.streams[stream] = {index, reader.u64()};
    }
    m.durable_machine = m.machine;
    m.apply_to = std::max(m.apply_to, chunk.last.index);
    m.core->snapshot_installed(m.disk.start);
  } else {
    m.core->snapshot_failed();
  }
  route(m, {m.id, message.from, m.core->term(), SnapshotAck{chunk.stream, chunk.last.index, ok, !ok}});
  collect(m);
  return true;
}

void Cluster::deliver(const Message& message) {
  const auto found = members.find(message.to);
  if (found == members.end() || !found->second->core || cuts.contains({message.from, message.to})) return;
  if (lose && lose(message)) return;
  found->second->core->step(message);
  collect(*found->second);
}

void Cluster::tick(NodeId id, int count) {
  TestMember& m = member(id);
  for (int i = 0; i < count && m.core; i++) {
    m.core->tick();
    collect(m);
  }
}

void Cluster::crash(NodeId id) {
  member(id).core.reset();
}

void Cluster::flush_writes_at_crash(TestMember& m, const Persist& torn, size_t entries_kept) {
  Persist partial = torn;
  partial.entries.resize(std::min(entries_kept, partial.entries.size()));
  m.disk.write(partial);
}

void Cluster::restart(NodeId id) {
  member(id).core.reset();
  start(member(id));
}

void Cluster::compact(TestMember& m, Index keep) {
  if (!m.core || m.install) return;
  m.durable_machine = m.machine;
  const Index at = m.machine.last.index > keep ? m.machine.last.index - keep : 0;
  if (at <= m.disk.start.last.index) return;
  const LogStart start_at = m.core->log_start_at(at).value();
  const auto cut = static_cast<std::ptrdiff_t>(at - m.disk.start.last.index);
  m.disk.entries.erase(m.disk.entries.begin(), m.disk.entries.begin() + cut);
  m.log.erase(m.log.begin(), m.log.begin() + cut);
  m.disk.start = start_at;
  m.disk.commit = std::max(m.disk.commit, at);
  m.core->compacted(start_at);
  collect(m);
}

}  // namespace dqlite::raft
