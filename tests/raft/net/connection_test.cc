// One connection, to a listener that takes it and never reads.
#include "raft/net/connection.h"

#include <CppUTest/TestHarness.h>

#include <chrono>

#include "tests/raft/net/silent_listener.h"

using namespace dqlite;
using namespace dqlite::raft;
using namespace dqlite::raft::net;

namespace {

constexpr std::chrono::seconds kConnectionPatience{30};

class Owner final : public ConnectionOwner {
 public:
  void on_connected(Connection&) override { connected = true; }
  void on_frame(Connection&, const Frame&) override {}
  void on_closed(Connection&, const Status&) override { closed = true; }

  bool connected = false;
  bool closed = false;
};

}  // namespace

TEST_GROUP(Connection) {
  uv_loop_t loop;
  Context context;

  void setup() override {
    uv_loop_init(&loop);
    context.loop = &loop;
  }
  void teardown() override {
    // Every handle has ended; one that has not must not hold up the tests.
    LONGS_EQUAL(0, uv_run(&loop, UV_RUN_NOWAIT));
    LONGS_EQUAL(0, uv_loop_close(&loop));
  }
  template <typename Condition>
  bool run_until(Condition condition) {
    const auto deadline = std::chrono::steady_clock::now() + kConnectionPatience;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      context.flush_all();
      uv_run(&loop, UV_RUN_NOWAIT);
    }
    return true;
  }
};

TEST(Connection, one_that_ends_when_all_is_sent_does_not_wait_for_ever_for_a_side_that_does_not_read) {
  const SilentListener listener;
  Owner owner;
  Connection* connection = Connection::connect(context, owner, *parse_address(listener.address()), 0);
  CHECK(run_until([&] { return owner.connected; }));
  connection->send(Bytes(64 << 20, uint8_t{1}));
  connection->flush();
  CHECK(connection->queued_bytes() > 0);
  connection->close_when_sent();
  const bool ended = run_until([&] { return uv_loop_alive(&loop) == 0; });
  if (!ended) connection->close();
  CHECK(run_until([&] { return uv_loop_alive(&loop) == 0; }));
  CHECK(ended);
  CHECK_FALSE(owner.closed);
}

TEST(Connection, one_that_ends_when_all_is_sent_leaves_no_timer_that_a_loop_would_wait_for) {
  const SilentListener listener;
  Owner owner;
  Connection* connection = Connection::connect(context, owner, *parse_address(listener.address()), 0);
  CHECK(run_until([&] { return owner.connected; }));
  connection->send(Bytes(10, uint8_t{1}));
  connection->flush();
  connection->close_when_sent();
  const auto began = std::chrono::steady_clock::now();
  CHECK(run_until([&] { return uv_loop_alive(&loop) == 0; }));
  CHECK(std::chrono::steady_clock::now() - began < std::chrono::seconds(2));
}
