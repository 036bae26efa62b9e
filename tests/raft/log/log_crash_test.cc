// A power failure at every call that changes the disk: during work, and during the recovery from it.
//
// A workload of fixed order is run once per call and seed. Beside it runs a model of what may be found
// afterwards: the acknowledged state, or a step of the call that was under way. Nothing acknowledged may be
// missing, nothing else may appear, term and vote never go back, and what one recovery found every later one
// finds.
#include <functional>
#include <random>

#include "tests/raft/log/check.h"
#include "tests/raft/log/fault_disk.h"
#include "tests/raft/log/log_fixture.h"

using namespace dqlite;
using namespace dqlite::raft;
using namespace dqlite::raft::test;
using Survival = FaultDisk::Survival;

namespace {

// What a log is, as far as its promises go.
struct Model {
  EntryId start;
  HardState hard_state;
  std::vector<std::pair<Term, size_t>> entries;  // behind the start

  [[nodiscard]] Index last() const { return start.index + entries.size(); }
  void truncate(Index from) { entries.resize(std::min<size_t>(entries.size(), from - start.index - 1)); }
  [[nodiscard]] std::string text() const {
    std::string text = "start " + std::to_string(start.index) + "/" + std::to_string(start.term) +
                       " | vote " + std::to_string(hard_state.term) + "/" + std::to_string(hard_state.vote) +
                       " |";
    for (size_t i = 0; i < entries.size(); i++) {
      text += " " + std::to_string(start.index + 1 + i) + "@" + std::to_string(entries[i].first) + "#" +
              std::to_string(entries[i].second);
    }
    return text;
  }
};

// Runs the workload against a log, and keeps the states that a crash may leave.
class Workload {
 public:
  explicit Workload(FaultDisk& disk) : disk_(disk) {}

  // False as soon as a call fails.
  bool run() { return open() && steps(); }
  // A workload drawn from a seed.
  bool run_random(uint64_t seed, int steps) {
    std::mt19937_64 random(seed);
    bool works = open();
    for (int i = 0; i < steps && works; i++) works = random_step(random);
    return works;
  }

  // All states that may be found now: the first is the acknowledged one.
  [[nodiscard]] const std::vector<std::string>& allowed() const { return allowed_; }
  // At least that commit index was recorded, and none above the second was ever told.
  [[nodiscard]] Index commit_recorded() const { return commit_recorded_; }
  [[nodiscard]] Index commit_told() const { return commit_told_; }

 private:
  bool open() {
    Result<std::unique_ptr<Log>> opened = Log::open(disk_, kDirectory, LogFixture().options);
    if (opened) log_ = std::move(*opened);
    return opened.is_ok();
  }

  bool random_step(std::mt19937_64& random) {
    std::vector<size_t> sizes(random() % 5);
    for (size_t& size : sizes) size = random() % 8 == 0 ? random() % 20000 : random() % 600;
    Index stable = std::max(commit_told_, model_.start.index);  // may not be truncated
    Index commit = random() % 2 == 0 ? stable + random() % (model_.last() - stable + 1) : 0;
    switch (random() % 10) {
      case 0:
        return vote(model_.hard_state.term + 1, random() % 3);
      case 1:
        return this->commit(stable + random() % (model_.last() - stable + 1));
      case 2: {
        Index from = stable + 1 + random() % (model_.last() - stable + 1);
        return replace(from, ++term_, sizes, from + sizes.size() - 1 > stable ? from + sizes.size() - 1 : 0);
      }
      case 3:
        return model_.last() == model_.start.index ||
               compact(model_.start.index + 1 + random() % (model_.last() - model_.start.index));
      case 4:
        return random() % 3 != 0 || reset({model_.last() + random() % 5, term_});
      default:
        return append(term_, sizes, commit);
    }
  }

  bool steps() {
    using Sizes = std::vector<size_t>;
    return append(1, Sizes{100, 0, 700}) && vote(1, 3) && append(1, Sizes{3000}) &&
           append(2, Sizes{40, 3000, 3000}, 3) && replace(5, 3, Sizes{900, 100}) &&
           append(3, Sizes{5000, 5000, 9000, 100}, 6) && compact(6) && append(3, Sizes{30000}) &&
           vote(5, 2) && replace(11, 5, Sizes{}) && append(5, Sizes{20, 20}) &&
           replace(12, 6, Sizes{9000, 9000, 9000}, 13) && replace(14, 6, Sizes{}) &&
           append(6, Sizes{2000, 1}, 14) && commit(15) && append(6, Sizes(20, 300)) && compact(15) &&
           compact(log_->last_index()) && reset({40, 5}) && append(6, Sizes{200, 9000}) &&
           append(6, Sizes{6000}) && vote(7, 1) && reset({42, 6}) && append(7, Sizes{10});
  }

  // `steps`: the models that may be found while the call runs, besides the one before.
  bool call(const std::vector<Model>& steps, const std::function<Status()>& action) {
    allowed_ = {model_.text()};
    for (const Model& step : steps) allowed_.push_back(step.text());
    if (!action().is_ok()) return false;
    if (!steps.empty()) model_ = steps.back();
    allowed_ = {model_.text()};
    return true;
  }

  bool append(Term term, const std::vector<size_t>& sizes, Index commit = 0) {
    return replace(model_.last() + 1, term, sizes, commit);
  }

  // Truncation and entries, in one call; while it runs, any first part of it may be found.
  bool replace(Index from, Term term, const std::vector<size_t>& sizes, Index commit = 0) {
    Persist persist;
    persist.commit = commit;
    std::vector<Model> steps;
    Model step = model_;
    if (from <= model_.last()) {
      persist.truncate_from = from;
      step.truncate(from);
      steps.push_back(step);
    }
    for (size_t size : sizes) {
      persist.entries.push_back(make_entry(step.last() + 1, term, size));
      step.entries.emplace_back(term, size);
      steps.push_back(step);
    }
    commit_told_ = std::max(commit_told_, commit);
    Index recorded = std::max(commit_recorded_, std::min({commit_told_, model_.last(), from - 1}));
    if (!call(steps, [&] { return log_->append({persist}); })) return false;
    if (!steps.empty()) commit_recorded_ = recorded;  // a commit index alone is not written
    return true;
  }

  bool vote(Term term, NodeId candidate) {
    Persist persist;
    persist.hard_state = HardState{term, candidate};
    Model step = model_;
    step.hard_state = *persist.hard_state;
    return call({step}, [&] { return log_->append({persist}); });
  }

  bool commit(Index index) {
    commit_told_ = std::max(commit_told_, index);
    if (!call({}, [&] { return log_->append_commit(index); })) return false;
    commit_recorded_ = std::min(commit_told_, model_.last());
    return true;
  }

  bool compact(Index index) {
    commit_told_ = std::max(commit_told_, index);
    LogStart start;
    start.last = {index, log_->term_at(index)};
    Model step = model_;
    step.start = start.last;
    step.entries.erase(step.entries.begin(),
                       step.entries.begin() + static_cast<ptrdiff_t>(index - model_.start.index));
    return call({step}, [&] { return log_->compact(start); });
  }

  bool reset(EntryId last) {
    commit_told_ = std::max(commit_told_, last.index);
    LogStart start;
    start.last = last;
    Model step{last, model_.hard_state, {}};
    return call({step}, [&] { return log_->reset(start); });
  }

  FaultDisk& disk_;
  std::unique_ptr<Log> log_;
  Model model_;
  std::vector<std::string> allowed_{Model().text()};
  Index commit_recorded_ = 0;
  Index commit_told_ = 0;
  Term term_ = 1;
};

std::string joined(const std::vector<std::string>& texts) {
  std::string result;
  for (const std::string& text : texts) result += "\n  " + text;
  return result;
}

}  // namespace

TEST_GROUP(LogCrash) {
  std::string where;  // for messages

  // Opens the log, compares it with what may be there, and returns what is.
  std::string check(FaultDisk & disk, const Workload& work) {
    Result<std::unique_ptr<Log>> log = Log::open(disk, kDirectory, LogFixture().options);
    CHECK_TEXT(log.is_ok(), (where + ": " + log.status().sentence()).c_str());
    std::string found = describe(**log);
    bool is_allowed = std::find(work.allowed().begin(), work.allowed().end(), found) != work.allowed().end();
    CHECK_TEXT(is_allowed, (where + ": found\n  " + found + "\nallowed" + joined(work.allowed())).c_str());
    Index commit = (*log)->recovered().commit;
    bool commit_is_right = commit >= std::min(work.commit_recorded(), (*log)->last_index()) &&
                           commit <= std::max(work.commit_told(), (*log)->start().last.index) &&
                           commit <= (*log)->last_index();
    CHECK_TEXT(commit_is_right, (where + ": commit index " + std::to_string(commit)).c_str());
    return found;
  }

  void check_it_stays(FaultDisk & disk, const std::string& found) {
    disk.power_loss(Survival::kNothing);
    Result<std::unique_ptr<Log>> log = Log::open(disk, kDirectory, LogFixture().options);
    CHECK_TEXT(log.is_ok(), (where + ": " + log.status().sentence()).c_str());
    STRCMP_EQUAL_TEXT(found.c_str(), describe(**log).c_str(), where.c_str());
    // The log takes new entries, and they stay.
    Persist persist;
    persist.entries.push_back(make_entry((*log)->last_index() + 1, 99, 500));
    OK((*log)->append({persist}));
    std::string longer = describe(**log);
    log->reset();
    disk.power_loss(Survival::kNothing);
    log = Log::open(disk, kDirectory, LogFixture().options);
    CHECK_TEXT(log.is_ok(), (where + ": " + log.status().sentence()).c_str());
    STRCMP_EQUAL_TEXT(longer.c_str(), describe(**log).c_str(), where.c_str());
  }

  static uint64_t calls_of_workload() {
    FaultDisk disk;
    Workload work(disk);
    CHECK(work.run());
    return disk.calls();
  }
};

TEST(LogCrash, D16_power_failure_at_every_call) {
  uint64_t calls = calls_of_workload();
  CHECK(calls > 100);
  for (uint64_t call = 1; call <= calls; call++) {
    for (uint64_t seed = 0; seed < 4; seed++) {
      where = "call " + std::to_string(call) + ", seed " + std::to_string(seed);
      FaultDisk disk;
      disk.crash_at(call);
      Workload work(disk);
      CHECK_FALSE(work.run());
      Survival survival = seed == 0   ? Survival::kNothing
                          : seed == 1 ? Survival::kEverything
                                      : Survival::kRandom;
      disk.power_loss(survival, call * 1000 + seed);
      std::string found = check(disk, work);
      check_it_stays(disk, found);
    }
  }
}

TEST(LogCrash, D16_random_workloads_end_in_a_power_failure_or_a_kill) {
  for (uint64_t seed = 1; seed <= 300; seed++) {
    where = "seed " + std::to_string(seed);
    FaultDisk disk;
    disk.crash_at(20 + seed * 7919 % 150);
    Workload work(disk);
    work.run_random(seed, 60);
    if (seed % 4 == 0) {
      disk.kill();
    } else {
      disk.power_loss(seed % 4 == 1 ? Survival::kNothing : Survival::kRandom, seed);
    }
    std::string found = check(disk, work);
    check_it_stays(disk, found);
  }
}

TEST(LogCrash, A12_kill_at_every_call_then_power_failure) {
  uint64_t calls = calls_of_workload();
  for (uint64_t call = 1; call <= calls; call++) {
    where = "call " + std::to_string(call);
    FaultDisk disk;
    disk.crash_at(call);
    Workload work(disk);
    CHECK_FALSE(work.run());
    disk.kill();
    std::string found = check(disk, work);
    check_it_stays(disk, found);
  }
}

TEST(LogCrash, D16_power_failure_at_every_call_of_recovery) {
  uint64_t calls = calls_of_workload();
  for (uint64_t call = 1; call <= calls; call++) {
    FaultDisk crashed;
    crashed.crash_at(call);
    Workload work(crashed);
    CHECK_FALSE(work.run());
    if (call % 2 == 0) {
      crashed.kill();
    } else {
      crashed.power_loss(Survival::kRandom, call);
    }
    uint64_t recovery_calls = 0;
    {
      std::unique_ptr<FaultDisk> dry = crashed.clone();
      uint64_t before = dry->calls();
      check(*dry, work);
      recovery_calls = dry->calls() - before;
    }
    for (uint64_t second = 1; second <= recovery_calls; second++) {
      where = "call " + std::to_string(call) + ", call " + std::to_string(second) + " of recovery";
      std::unique_ptr<FaultDisk> disk = crashed.clone();
      disk->crash_at(second);
      CHECK_FALSE(Log::open(*disk, kDirectory, LogFixture().options).is_ok());
      disk->power_loss(Survival::kRandom, call * 1000 + second);
      std::string found = check(*disk, work);
      check_it_stays(*disk, found);
    }
  }
}

TEST(LogCrash, D11_D12_every_call_fails_once_with_EIO_and_with_no_space) {
  uint64_t calls = calls_of_workload();
  for (Code code : {Code::kIo, Code::kFull}) {
    for (uint64_t call = 1; call <= calls; call++) {
      where = "call " + std::to_string(call) + (code == Code::kIo ? ", EIO" : ", ENOSPC");
      FaultDisk disk;
      disk.fail_call(call, code);
      Workload work(disk);
      bool all_went_well = work.run();  // a left-over file that cannot be removed is told, too
      CHECK_FALSE(all_went_well);
      disk.power_loss(Survival::kRandom, call);
      std::string found = check(disk, work);
      check_it_stays(disk, found);
    }
  }
}
