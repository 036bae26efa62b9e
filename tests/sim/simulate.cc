// Runs seeds of the simulation; see tests/sim/README.md. The last line is 'N passed, N failed'.
#include <cstdlib>
#include <cstring>

#include "tests/sim/simulation.h"

using namespace dqlite::raft;
using namespace dqlite::raft::sim;

namespace {

struct Arguments {
  uint64_t seeds = 100;
  uint64_t first_seed = 1;
  bool shrink = false;
  bool counts = false;
  SimulationOptions options;
};

std::string command_for(const SimulationOptions& options) {
  std::string command = "tests/sim/run --seed " + std::to_string(options.seed);
  std::string only;
  for (size_t i = 0; i < kFaults; i++) {
    const auto fault = static_cast<Fault>(i);
    if (!options.without.contains(fault)) only += (only.empty() ? "" : ",") + std::string(name(fault));
  }
  if (!options.without.empty()) command += " --only " + (only.empty() ? "none" : only);
  if (options.safety != 0) command += " --milliseconds " + std::to_string(options.safety / kMillisecond);
  return command;
}

std::string run_once(const SimulationOptions& options, Counters* counters = nullptr) {
  Simulation simulation(options);
  std::string violation = simulation.run();
  if (counters != nullptr) counters->add(simulation.counters());
  return violation;
}

// Leaves out one class of events after the other, then time, as long as it goes on failing: not
// necessarily in the same words.
int shrink(SimulationOptions options) {
  std::string violation = run_once(options);
  if (violation.empty()) {
    std::printf("seed %llu does not fail\n", static_cast<unsigned long long>(options.seed));
    return 0;
  }
  for (size_t i = 0; i < kFaults; i++) {
    SimulationOptions smaller = options;
    smaller.without.insert(static_cast<Fault>(i));
    if (const std::string found = run_once(smaller); !found.empty()) {
      options = smaller;
      violation = found;
    }
  }
  Micros safety = options.safety != 0 ? options.safety : Simulation(options).safety();
  for (Micros step = safety / 2; step >= 20 * kMillisecond; step /= 2) {
    SimulationOptions smaller = options;
    smaller.safety = safety > step ? safety - step : kMillisecond;
    if (const std::string found = run_once(smaller); !found.empty()) {
      options = smaller;
      safety = smaller.safety;
      violation = found;
    }
  }
  std::printf("%s\n  %s --trace\n", violation.c_str(), command_for(options).c_str());
  return 1;
}

int run_all(Arguments arguments) {
  Counters counters;
  uint64_t failed = 0;
  for (uint64_t seed = arguments.first_seed; seed < arguments.first_seed + arguments.seeds; seed++) {
    arguments.options.seed = seed;
    const std::string violation = run_once(arguments.options, &counters);
    if (violation.empty()) continue;
    failed++;
    std::printf("seed %llu: %s\n  replay it: %s --trace\n", static_cast<unsigned long long>(seed),
                violation.c_str(), command_for(arguments.options).c_str());
    std::fflush(stdout);
  }
  if (arguments.counts) std::printf("%s", counters.text().c_str());
  std::printf("%llu passed, %llu failed\n", static_cast<unsigned long long>(arguments.seeds - failed),
              static_cast<unsigned long long>(failed));
  return failed == 0 ? 0 : 1;
}

// `names`: with commas between them, or "none".
bool leave_only(const std::string& names, std::set<Fault>& without) {
  for (size_t i = 0; i < kFaults; i++) without.insert(static_cast<Fault>(i));
  if (names == "none") return true;
  for (size_t begin = 0; begin <= names.size();) {
    const size_t end = std::min(names.find(',', begin), names.size());
    const std::optional<Fault> fault = fault_named(names.substr(begin, end - begin));
    if (!fault) return false;
    without.erase(*fault);
    begin = end + 1;
  }
  return true;
}

int usage(const char* wrong) {
  std::fprintf(stderr, "unknown argument %s; see tests/sim/README.md\n", wrong);
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i < argc; i++) {
    const std::string option = argv[i];
    const char* value = i + 1 < argc ? argv[i + 1] : "";
    const uint64_t number = std::strtoull(value, nullptr, 10);
    bool takes_value = true;
    if (option == "--seeds") {
      arguments.seeds = number;
    } else if (option == "--first-seed") {
      arguments.first_seed = number;
    } else if (option == "--seed" || option == "--shrink") {
      arguments.first_seed = arguments.options.seed = number;
      arguments.seeds = 1;
      arguments.shrink = option == "--shrink";
    } else if (option == "--only") {
      if (!leave_only(value, arguments.options.without)) return usage(value);
    } else if (option == "--milliseconds") {
      arguments.options.safety = number * kMillisecond;
    } else {
      takes_value = false;
      if (option == "--trace") {
        arguments.options.trace = true;
      } else if (option == "--counts") {
        arguments.counts = true;
      } else {
        return usage(argv[i]);
      }
    }
    if (takes_value) i++;
  }
  return arguments.shrink ? shrink(arguments.options) : run_all(arguments);
}
