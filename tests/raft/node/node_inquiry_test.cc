// Questions from one member's state machine to another's, on whole nodes.
#include "tests/raft/node/test_node.h"

using namespace dqlite;
using namespace dqlite::raft;

namespace {

SharedBytes question_of(const std::string& text) {
  return std::make_shared<const Bytes>(text.begin(), text.end());
}

constexpr std::chrono::milliseconds kShortSilence{300};

}  // namespace

TEST_GROUP(NodeInquiry) {
  TestNode a, b;

  void found_two() {
    a.start();
    a.found();
    b.start();
    b.join(a);
  }
  static NodeId inquired_id(const TestNode& node) {
    return node.node->status().identity.node_id;
  }
  static Result<Bytes> ask(const TestNode& asker, NodeId asked, const std::string& text,
                           Clock::duration silence = kPatience) {
    std::optional<Result<Bytes>> answer =
        asker.node->inquire(asked, question_of(text), silence)->wait(patience());
    CHECK(answer.has_value());
    return *answer;
  }
  static std::string text_of(const Result<Bytes>& answer) {
    WORKS(answer.status());
    return {answer->begin(), answer->end()};
  }
};

TEST(NodeInquiry, is_answered_by_this_node_and_by_another_that_leads_or_follows) {
  found_two();
  STRCMP_EQUAL("answer to x", text_of(ask(a, inquired_id(a), "x")).c_str());
  STRCMP_EQUAL("answer to y", text_of(ask(a, inquired_id(b), "y")).c_str());
  STRCMP_EQUAL("answer to z", text_of(ask(b, inquired_id(a), "z")).c_str());
  FAILS_WITH(Code::kRefused, "no answer to that", ask(b, inquired_id(a), "refuse").status());
}

TEST(NodeInquiry, may_take_longer_than_silence_would_be_endured) {
  found_two();
  b.machine->hold_inquiries();
  std::unique_ptr<PendingAnswer> answer = a.node->inquire(inquired_id(b), question_of("x"), kShortSilence);
  CHECK_FALSE(answer->wait(Clock::now() + 3 * kShortSilence).has_value());
  LONGS_EQUAL(1, b.machine->held_inquiries());
  b.machine->answer_inquiries();
  std::optional<Result<Bytes>> answered = answer->wait(patience());
  CHECK(answered.has_value());
  STRCMP_EQUAL("answer to x", text_of(*answered).c_str());
}

TEST(NodeInquiry, of_a_member_that_is_gone_ends_with_its_silence) {
  found_two();
  const NodeId gone = inquired_id(b);
  b.kill();
  FAILS_WITH(Code::kTimeout, "does not answer", ask(a, gone, "x", kShortSilence).status());
  FAILS_WITH(Code::kTimeout, "does not answer", ask(a, 77, "x", kShortSilence).status());
}

TEST(NodeInquiry, is_begun_anew_by_a_member_that_was_started_again) {
  found_two();
  b.machine->hold_inquiries();
  std::unique_ptr<PendingAnswer> answer = a.node->inquire(inquired_id(b), question_of("x"), kPatience);
  CHECK(eventually([this] { return b.machine->held_inquiries() == 1; }));
  b.kill();
  b.start();
  std::optional<Result<Bytes>> answered = answer->wait(patience());
  CHECK(answered.has_value());
  STRCMP_EQUAL("answer to x", text_of(*answered).c_str());
}

TEST(NodeInquiry, ends_with_the_node_that_asked) {
  found_two();
  b.machine->hold_inquiries();
  std::unique_ptr<PendingAnswer> answer = a.node->inquire(inquired_id(b), question_of("x"), kPatience);
  a.node->stop(patience());
  std::optional<Result<Bytes>> answered = answer->wait(patience());
  CHECK(answered.has_value());
  FAILS_WITH(Code::kPoisoned, "ended", answered->status());
  FAILS_WITH(Code::kPoisoned, "ended", ask(a, 1, "x").status());
}

TEST(NodeInquiry, ends_when_the_loop_of_the_node_has_died) {
  a.start();
  a.found();
  std::unique_ptr<PendingAnswer> answer = a.node->inquire(inquired_id(a), question_of("throw"), kPatience);
  std::optional<Result<Bytes>> answered;
  CHECK(eventually([&] { return (answered = answer->wait(Clock::now())).has_value(); }));
  CHECK(answered->status().code() == Code::kPoisoned);
}

TEST(NodeInquiry, many_at_once_wait_for_each_other_and_none_is_taken_for_silence) {
  found_two();
  for (TestNode* asked : {&a, &b}) {
    asked->machine->hold_inquiries();
    std::vector<std::unique_ptr<PendingAnswer>> answers;
    for (int i = 0; i < 150; i++) {
      answers.push_back(a.node->inquire(inquired_id(*asked), question_of(std::to_string(i)), kShortSilence));
    }
    CHECK(eventually([&] { return asked->machine->held_inquiries() >= 64; }));
    CHECK_FALSE(answers.back()->wait(Clock::now() + 3 * kShortSilence).has_value());
    LONGS_EQUAL(64, asked->machine->held_inquiries());
    asked->machine->answer_inquiries();
    for (int i = 0; i < 150; i++) {
      std::optional<Result<Bytes>> answered = answers[static_cast<size_t>(i)]->wait(patience());
      CHECK(answered.has_value());
      STRCMP_EQUAL(("answer to " + std::to_string(i)).c_str(), text_of(*answered).c_str());
    }
  }
}

TEST(NodeInquiry, needs_a_cluster) {
  a.start();
  FAILS_WITH(Code::kNoQuorum, "belongs to no cluster", ask(a, 1, "x").status());
}
