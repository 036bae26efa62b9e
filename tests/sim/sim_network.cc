#include "tests/sim/sim_network.h"

#include <algorithm>
#include <memory>

#include "codec/checksum.h"

namespace dqlite::raft::sim {

namespace {

// How long it takes a node to see that a connection is gone.
constexpr Micros kLinkLossAfter = 2 * kSecond;
// As net::Transport::hears.
constexpr Micros kHeardFor = 2500 * kMillisecond;

}  // namespace

// --- processes ---

void SimNetwork::attach(const std::string& address, NetworkHost& process) {
  addresses_[address] = &process;
  lives_[process.life()] = &process;
}

void SimNetwork::detach(NetworkHost& process) {
  std::erase_if(addresses_, [&](const auto& item) { return item.second == &process; });
  lives_.erase(process.life());
  const uint64_t life = process.life();
  // Its connections are gone, and the other ends see it in time.
  const NodeId gone = process.greeting(0).node_id;
  for (const auto& [id, other] : lives_) {
    NetworkHost* told = other;
    told->arrive(random_.below(kLinkLossAfter), [this, told, gone, life] {
      heard_[told->life()].erase(life);
      told->link_lost(gone);
    });
  }
  heard_.erase(life);
  std::erase_if(greeted_, [&](const auto& pair) { return pair.first == life || pair.second == life; });
  std::erase_if(askers_, [&](const auto& item) { return item.second.life == life; });
}

NetworkHost* SimNetwork::find(uint64_t life) const {
  const auto found = lives_.find(life);
  return found == lives_.end() ? nullptr : found->second;
}

// --- faults ---

void SimNetwork::cut(int a, int b) {
  cut_one_way(a, b);
  cut_one_way(b, a);
}

void SimNetwork::clog(int from, int to, Micros duration) {
  clogged_until_[{from, to}] = timeline_.now() + duration;
}

// In order, as on one connection, unless the dice say otherwise.
Micros SimNetwork::transit(int from, int to) {
  Micros arrival = timeline_.now() + shape_.delay + random_.below(shape_.jitter + 1);
  if (const auto clog = clogged_until_.find({from, to}); clog != clogged_until_.end())
    arrival = std::max(arrival, clog->second);
  Micros& last = last_arrival_[{from, to}];
  if (chance(shape_.reorder)) {
    if (arrival + random_.below(20 * kMillisecond) < last) counters_[Count::kMessagesReordered]++;
    arrival += random_.below(20 * kMillisecond);
  } else {
    arrival = std::max(arrival, last);
  }
  last = std::max(last, arrival);
  return arrival - timeline_.now();
}

void SimNetwork::lose(uint64_t from_life, NodeId to, bool is_request) {
  counters_[Count::kMessagesLost]++;
  if (!is_request && !chance(100)) return;
  NetworkHost* asker = find(from_life);
  if (asker == nullptr) return;
  asker->arrive(random_.below(kLinkLossAfter), [asker, to] { asker->link_lost(to); });
}

void SimNetwork::send(NetworkHost& from, const std::string& address, NodeId expected, Bytes frame,
                      bool is_request) {
  const auto parcel =
      std::make_shared<Parcel>(Parcel{from.life(), from.host(), address, expected, std::move(frame), 0});
  const auto to = addresses_.find(address);
  if (to == addresses_.end() || is_cut(from.host(), to->second->host()) || chance(shape_.loss)) {
    trace_.note(from.host(), "lost", expected);
    return lose(from.life(), expected, is_request);
  }
  if (is_request) {
    parcel->connection = next_connection_++;
    askers_[parcel->connection] = {from.life(), expected};
  } else if (chance(shape_.repeat)) {
    counters_[Count::kMessagesRepeated]++;
    timeline_.after(transit(from.host(), to->second->host()), [this, parcel] { deliver(parcel); });
  }
  timeline_.after(transit(from.host(), to->second->host()), [this, parcel] { deliver(parcel); });
}

void SimNetwork::deliver(const std::shared_ptr<Parcel>& parcel) {
  const auto to = addresses_.find(parcel->address);
  if (to == addresses_.end() || is_cut(parcel->from_host, to->second->host()))
    return lose(parcel->from_life, parcel->expected, parcel->connection != 0);
  NetworkHost* receiver = to->second;
  receiver->arrive(0, [this, receiver, parcel] { hand_over(*receiver, *parcel); });
}

// What is damaged on its way costs the connection, and with it the message; never more.
void SimNetwork::hand_over(NetworkHost& to, const Parcel& parcel) {
  NetworkHost* from = find(parcel.from_life);
  if (from == nullptr) return;  // what a dead process said on a connection is gone with it
  if (!greet(*from, to, parcel.expected))
    return lose(parcel.from_life, parcel.expected, parcel.connection != 0);
  Bytes frame = parcel.frame;
  const bool is_damaged = chance(shape_.corrupt);
  if (is_damaged) {
    counters_[Count::kFramesCorrupted]++;
    frame[random_.below(frame.size())] ^= static_cast<uint8_t>(1U << random_.below(8));
  }
  net::FrameReader reader(net::kMaxFrameBody);
  reader.append(frame);
  Result<std::optional<net::Frame>> cut_out = reader.next();
  if (!cut_out || !*cut_out) return lose(parcel.from_life, parcel.expected, parcel.connection != 0);
  const NodeId sender = from->greeting(0).node_id;
  trace_.note(to.host(), "frame", codec::checksum(frame), sender);
  const net::Hello hello = from->greeting(0);
  if (sender != 0) heard_[to.life()][parcel.from_life] = {hello.instance, hello.boot_nonce, timeline_.now()};
  to.handle_frame(parcel.connection, sender, **cut_out);
}

bool SimNetwork::hears(const NetworkHost& host, uint64_t instance, uint64_t boot_nonce) const {
  const auto heard = heard_.find(host.life());
  if (heard == heard_.end()) return false;
  return std::any_of(heard->second.begin(), heard->second.end(), [&](const auto& item) {
    const Heard& each = item.second;
    return each.instance == instance && each.boot_nonce == boot_nonce &&
           timeline_.now() < each.at + kHeardFor;
  });
}

bool SimNetwork::greet(NetworkHost& from, NetworkHost& to, NodeId expected) {
  if (greeted_.contains({from.life(), to.life()})) return true;
  const Status greeted = greet_anew(from, to, expected);
  const bool is_member = from.greeting(0).node_id != 0;
  if (is_member) from.link_judged(expected, greeted);
  if (!greeted) {
    counters_[Count::kGreetingsRefused]++;
  } else if (is_member) {  // a stranger greets on every connection
    greeted_.insert({from.life(), to.life()});
  }
  return greeted.is_ok();
}

Status SimNetwork::greet_anew(NetworkHost& from, NetworkHost& to, NodeId expected) {
  net::Hello hello = from.greeting(expected);
  hello.expected_id = expected;
  const Bytes sent = net::encode(hello);
  net::FrameReader reader(net::kMaxStrangerBody);
  reader.append(sent);
  const Result<std::optional<net::Frame>> frame = reader.next();
  const Result<net::Hello> heard = net::decode_hello((*frame)->body);
  Status judged = heard ? to.judge_greeting(*heard) : heard.status();
  if (!judged || hello.node_id == 0) return judged;
  return from.judge_answer(expected, to.greeting(hello.node_id));
}

bool SimNetwork::is_connected(const NetworkHost& from, const std::string& address) const {
  const auto to = addresses_.find(address);
  return to != addresses_.end() && greeted_.contains({from.life(), to->second->life()});
}

void SimNetwork::refuse(NetworkHost& host, const std::function<Status(const net::Hello&)>& judge) {
  for (auto each = greeted_.begin(); each != greeted_.end();) {
    NetworkHost* from = each->second == host.life() ? find(each->first) : nullptr;
    const Status judged = from == nullptr ? Status::ok() : judge(from->greeting(0));
    if (!judged) {
      const NodeId refusing = host.greeting(0).node_id;
      from->arrive(transit(host.host(), from->host()), [from, refusing, judged] {
        from->link_judged(refusing, judged);
        from->link_lost(refusing);
      });
    }
    each = judged ? std::next(each) : greeted_.erase(each);
  }
}

void SimNetwork::reply(NetworkHost& from, net::ConnectionId to, Bytes frame) {
  const auto found = askers_.find(to);
  if (found == askers_.end()) return;
  const Asker asker = found->second;
  askers_.erase(found);
  NetworkHost* receiver = find(asker.life);
  if (receiver == nullptr) return;
  if (is_cut(from.host(), receiver->host()) || chance(shape_.loss))
    return lose(asker.life, asker.asked, true);
  const NodeId sender = asker.asked;
  auto bytes = std::make_shared<const Bytes>(std::move(frame));
  receiver->arrive(transit(from.host(), receiver->host()), [this, receiver, sender, bytes] {
    net::FrameReader reader(net::kMaxFrameBody);
    reader.append(*bytes);
    Result<std::optional<net::Frame>> cut_out = reader.next();
    trace_.note(receiver->host(), "reply", codec::checksum(*bytes), sender);
    if (cut_out && *cut_out) receiver->handle_frame(0, sender, **cut_out);
  });
}

}  // namespace dqlite::raft::sim
