// The network between all nodes: delays, loses, repeats, reorders and damages what they say, cuts links in
// one direction or both, and holds a link up to let everything through at once later.
//
// Everything travels as the bytes of raft/net/wire.h and is cut out of them by the real frame reader. Before
// two processes talk, the real greeters judge each other's greeting. A request (to join, to propose) is never
// repeated, as on a TCP connection; if it or its answer is lost, the asker learns that the link is gone.
#pragma once

#include <map>
#include <set>
#include <string>

#include "raft/core/random.h"
#include "raft/net/network.h"
#include "tests/sim/counters.h"
#include "tests/sim/trace.h"

namespace dqlite::raft::sim {

// What the network does with frames for a process. Implemented by SimProcess.
class NetworkHost {
 public:
  virtual ~NetworkHost() = default;
  [[nodiscard]] virtual int host() const = 0;
  [[nodiscard]] virtual uint64_t life() const = 0;  // of all processes, never used twice
  // Runs it on the host's loop after `delay`, unless the process has ended by then.
  virtual void arrive(Micros delay, std::function<void()> job) = 0;
  virtual net::Hello greeting(NodeId peer) = 0;
  virtual Status judge_greeting(const net::Hello& hello) = 0;
  virtual Status judge_answer(NodeId peer, const net::Hello& answer) = 0;
  virtual void handle_frame(net::ConnectionId from, NodeId sender, const net::Frame& frame) = 0;
  virtual void link_lost(NodeId peer) = 0;
  // How the peer took this process's greeting.
  virtual void link_judged(NodeId peer, const Status& status) = 0;
};

struct NetworkShape {
  Micros delay = 500;  // the least
  Micros jitter = 1000;
  uint64_t loss = 0;  // these four of a thousand
  uint64_t repeat = 0;
  uint64_t corrupt = 0;
  uint64_t reorder = 0;
};

class SimNetwork {
 public:
  SimNetwork(Timeline& timeline, Trace& trace, Counters& counters, uint64_t seed)
      : timeline_(timeline), trace_(trace), counters_(counters), random_(seed) {}

  // --- processes ---
  void attach(const std::string& address, NetworkHost& process);
  void detach(NetworkHost& process);
  // A message of the algorithm, or a request. `expected`: the member believed to be there, or 0.
  void send(NetworkHost& from, const std::string& address, NodeId expected, Bytes frame, bool is_request);
  [[nodiscard]] bool is_connected(const NetworkHost& from, const std::string& address) const;
  // Ends the connections of members that `judge` does not want, and tells them why.
  void refuse(NetworkHost& host, const std::function<Status(const net::Hello&)>& judge);
  // Something of this start of a member arrived within the last few seconds, and its end is not known.
  [[nodiscard]] bool hears(const NetworkHost& host, uint64_t instance, uint64_t boot_nonce) const;
  // The answer to a request.
  void reply(NetworkHost& from, net::ConnectionId to, Bytes frame);

  // --- faults ---
  void set_shape(const NetworkShape& shape) { shape_ = shape; }
  [[nodiscard]] const NetworkShape& shape() const { return shape_; }
  void cut_one_way(int from, int to) { cuts_.insert({from, to}); }
  void cut(int a, int b);
  void heal() { cuts_.clear(); }
  [[nodiscard]] bool is_cut(int from, int to) const { return cuts_.contains({from, to}); }
  [[nodiscard]] bool has_cuts() const { return !cuts_.empty(); }
  // What is sent from one to the other arrives after this time, all at once.
  void clog(int from, int to, Micros duration);
  void unclog() { clogged_until_.clear(); }

 private:
  struct Asker {
    uint64_t life;
    NodeId asked;  // the member that was asked, or 0
  };
  struct Heard {
    uint64_t instance;
    uint64_t boot_nonce;
    Micros at;
  };
  struct Parcel {
    uint64_t from_life;
    int from_host;
    std::string address;
    NodeId expected;
    Bytes frame;
    net::ConnectionId connection;  // of a request, else 0
  };

  bool chance(uint64_t per_thousand) { return per_thousand > 0 && random_.below(1000) < per_thousand; }
  [[nodiscard]] NetworkHost* find(uint64_t life) const;
  Micros transit(int from, int to);
  void deliver(const std::shared_ptr<Parcel>& parcel);
  void hand_over(NetworkHost& to, const Parcel& parcel);
  bool greet(NetworkHost& from, NetworkHost& to, NodeId expected);
  static Status greet_anew(NetworkHost& from, NetworkHost& to, NodeId expected);
  void lose(uint64_t from_life, NodeId to, bool is_request);

  Timeline& timeline_;
  Trace& trace_;
  Counters& counters_;
  Random random_;
  NetworkShape shape_;
  std::map<std::string, NetworkHost*> addresses_;
  std::map<uint64_t, NetworkHost*> lives_;
  std::map<std::pair<int, int>, Micros> last_arrival_;
  std::map<std::pair<int, int>, Micros> clogged_until_;
  std::set<std::pair<int, int>> cuts_;
  std::set<std::pair<uint64_t, uint64_t>> greeted_;      // lives
  std::map<uint64_t, std::map<uint64_t, Heard>> heard_;  // who hears, whom: lives
  std::map<net::ConnectionId, Asker> askers_;
  net::ConnectionId next_connection_ = 1;
};

}  // namespace dqlite::raft::sim
