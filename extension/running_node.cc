#include "extension/running_node.h"

#include <sys/stat.h>

#include <algorithm>
#include <tuple>

#include "raft/log/random.h"
#include "raft/net/address.h"
#include "vfs/error_codes.h"

namespace dqlite::extension {
namespace {

using std::chrono::milliseconds;

// An open that fails ends what it has started within this time.
constexpr std::chrono::seconds kUndoTime{5};

bool is_directory(const std::string& path) {
  struct stat found {};
  return ::stat(path.c_str(), &found) == 0 && S_ISDIR(found.st_mode);
}

Status check_addresses(const vfs::OpenParameters& parameters) {
  if (parameters.listen) {
    Result<raft::net::Address> address = raft::net::parse_address(*parameters.listen);
    if (!address) return address.status().in("listen= in the URI");
  }
  if (parameters.join) {
    Result<raft::net::Address> address = raft::net::parse_address(*parameters.join);
    if (!address) return address.status().in("join= in the URI");
  }
  return Status::ok();
}

Status refuse_copy(const std::string& node_directory) {
  return {Code::kRefused,
          node_directory +
              " was copied, restored or moved from another place: two nodes with one identity would be "
              "two clusters that believe to be one. If the original still exists, use it, and let this node "
              "start in an empty directory and join it. If it does not, remove " +
              node_directory +
              " (never the database files beside it): they then become the first state of a new cluster, "
              "as they were after the last checkpoint or orderly end"};
}

// A directory that was copied before it belonged to any cluster is a node of its own.
Status settle_copy_of_new(raft::IdentityFile& file) {
  Result<uint64_t> instance = raft::random_number();
  if (!instance) return instance.status();
  raft::Identity identity = file.identity();
  identity.instance = *instance;
  if (Status status = file.save(identity); !status) return status;
  return file.accept_location();
}

auto parameters_of(const raft::Identity& identity) {
  return std::tie(identity.listen, identity.timeout_ms, identity.voters, identity.standbys, identity.grace_ms,
                  identity.failure_domain, identity.weight);
}

void take_parameters_of(raft::Identity& identity, const raft::Identity& other) {
  identity.listen = other.listen;
  identity.timeout_ms = other.timeout_ms;
  identity.voters = other.voters;
  identity.standbys = other.standbys;
  identity.grace_ms = other.grace_ms;
  identity.failure_domain = other.failure_domain;
  identity.weight = other.weight;
}

// After an open that failed: a node that cannot start with new parameters starts with the old ones again.
void restore_parameters(const std::string& node_directory, const raft::Identity& before) {
  Result<std::unique_ptr<raft::IdentityFile>> file =
      raft::IdentityFile::open(raft::posix_disk(), node_directory);
  Status restored = file.status();
  if (file) {
    raft::Identity identity = (*file)->identity();
    take_parameters_of(identity, before);
    restored = (*file)->save(identity);
  }
  if (!restored) vfs::queue_log(restored.in("going back to the parameters of before").sentence());
}

bool belongs_to_nothing(const raft::Identity& identity) {
  return identity.node_id == 0 && !identity.cluster_id.is_set() && identity.join_target.empty();
}

}  // namespace

Result<std::unique_ptr<RunningNode>> RunningNode::open(const std::string& directory,
                                                       const vfs::OpenParameters& parameters, bool create) {
  if (Status status = check_addresses(parameters); !status) return status;
  std::unique_ptr<RunningNode> node(new RunningNode(directory));
  if (!create && !is_directory(node->node_directory())) {
    return Status(Code::kNotFound,
                  directory +
                      " is not the directory of a node yet, and this open may not make it one: "
                      "open it once for reading and writing");
  }
  Status status = node->start(parameters);
  if (status) return node;
  std::optional<raft::Identity> before = node->before_;
  std::string node_directory = node->node_directory();
  node.reset();  // gives the directory up
  if (before) restore_parameters(node_directory, *before);
  return status;
}

RunningNode::~RunningNode() {
  if (node_) node_->stop(raft::Clock::now() + kUndoTime);
  if (databases_) databases_->stop_reading();  // what they answer or ask goes through the node
  if (databases_) databases_->checkpointer().stop();
}

std::string RunningNode::node_directory() const {
  return directory_ + "/dqlite-node";
}

raft::Deadline RunningNode::deadline() const {
  return raft::Clock::now() + milliseconds(timeout_ms_);
}

Status RunningNode::start(const vfs::OpenParameters& parameters) {
  Result<std::unique_ptr<raft::IdentityFile>> file =
      raft::IdentityFile::open(raft::posix_disk(), node_directory());
  if (!file) return file.status();
  bool is_copy = (*file)->was_copied();
  if (is_copy && belongs_to_nothing((*file)->identity())) {
    if (Status status = settle_copy_of_new(**file); !status) return status;
    is_copy = false;
  }
  // One that is a member is judged by the other members or, where there are none, by its operator: see
  // raft/node/member_files.h.
  if (is_copy && (*file)->identity().node_id == 0) return refuse_copy(node_directory());
  if (Status status = remember_parameters(**file, parameters); !status) return status;
  if (Status status = start_consensus(std::move(*file)); !status) return status;
  return Status::ok();
}

Status RunningNode::remember_parameters(raft::IdentityFile& file, const vfs::OpenParameters& parameters) {
  raft::Identity identity = file.identity();
  listen_ = parameters.listen.value_or(identity.listen);
  timeout_ms_ = parameters.timeout_ms.value_or(identity.timeout_ms);
  raft::Identity wanted = identity;
  wanted.listen = listen_;
  wanted.timeout_ms = timeout_ms_;
  const auto take = [](uint32_t& kept, const std::optional<int>& given) {
    if (given) kept = static_cast<uint32_t>(*given);
  };
  take(wanted.voters, parameters.voters);
  take(wanted.standbys, parameters.standbys);
  take(wanted.grace_ms, parameters.grace_ms);
  take(wanted.weight, parameters.weight);
  wanted.failure_domain = parameters.failure_domain.value_or(identity.failure_domain);
  if (parameters_of(wanted) == parameters_of(identity)) return Status::ok();
  before_ = identity;
  return file.save(wanted);
}

Status RunningNode::start_consensus(std::unique_ptr<raft::IdentityFile> file) {
  Result<std::unique_ptr<vfs::DatabaseSet>> databases =
      vfs::DatabaseSet::open(vfs::posix_files(), {directory_, node_directory()});
  if (!databases) return databases.status();
  databases_ = std::move(*databases);
  databases_->attach(replicator_);
  machine_ = std::make_unique<ReplicatedDatabases>(*databases_);
  raft::NodeOptions options;
  options.directory = node_directory();
  options.listen = listen_;
  const raft::Identity& identity = file->identity();
  options.roles.voters = identity.voters;
  if (identity.standbys != raft::Identity::kNoLimit) options.roles.standbys = identity.standbys;
  options.roles.grace_ms = identity.grace_ms;
  options.failure_domain = identity.failure_domain;
  options.weight = identity.weight;
  options.log_leaves_free = [databases = databases_.get()] { return databases->checkpoint_space(); };
  const bool is_new = file->identity().node_id == 0 && file->identity().join_target.empty();
  Result<std::unique_ptr<raft::Node>> node = raft::Node::open(options, std::move(file), *machine_);
  if (!node) return node.status();
  node_ = std::move(*node);
  beginnings_ = std::make_unique<Beginnings>(*node_, *databases_, listen_);
  replicator_.connect(*node_, *beginnings_);
  databases_->begin_reading();
  // An adoption that was cut off between the record and the founding of the cluster.
  if (is_new && databases_->has_data()) return beginnings_->found(deadline());
  return Status::ok();
}

Status RunningNode::check_parameters(const vfs::OpenParameters& parameters) {
  if (Status status = check_addresses(parameters); !status) return status;
  if (is_stopped()) {
    return {Code::kRefused, "the node of " + directory_ +
                                " was ended by dqlite_stop(): it starts again with the next process"};
  }
  if (parameters.listen && *parameters.listen != listen_) {
    return {Code::kRefused, "listen=" + *parameters.listen + " in the URI, but the node of " + directory_ +
                                " runs in this process " +
                                (listen_.empty() ? "without network" : "at " + listen_) +
                                ": end the process to start it with another address"};
  }
  return Status::ok();
}

Status RunningNode::database_opened(vfs::Database& database, const vfs::OpenParameters& parameters) {
  bool has_foreign_data = database.id() == 0 && !database.versions().file().found().empty;
  raft::Standing standing = node_->standing();
  bool joins = parameters.join && (standing == raft::Standing::kNew || standing == raft::Standing::kJoining);
  if (has_foreign_data && joins) {
    return {Code::kRefused, "join= in the URI, but " + directory_ + "/" + database.name() +
                                " holds data of its own: move it away, and open again"};
  }
  if (has_foreign_data) return beginnings_->adopt(database, deadline());
  if (!joins) return Status::ok();
  Status joined = beginnings_->join(*parameters.join, deadline());
  if (failure_class(joined.code()) != FailureClass::kTemporary) return joined;
  vfs::queue_log(joined.sentence());  // it goes on in the background
  return Status::ok();
}

Result<std::string> RunningNode::recover(bool force, raft::Deadline deadline) {
  // What a failed node could read of a damaged log is in memory, and the log may have to begin behind the files.
  if (force && node_->standing() == raft::Standing::kPoisoned) {
    Status saved = databases_->checkpoint_locally(deadline);
    if (!saved) return saved.in("moving what was read into the database files, before anything is given up");
  }
  return node_->recover(force, deadline);
}

void RunningNode::stop(raft::Deadline deadline) {
  if (stopped_.exchange(true)) return;
  raft::Deadline now = raft::Clock::now();
  raft::Clock::duration time = std::max(deadline - now, raft::Clock::duration::zero());
  // What does not succeed in time is in the log.
  (void)node_->wait_applied(node_->status().commit_index, now + time / 4);
  node_->stop(now + time * 5 / 8);
  databases_->failed(
      {Code::kUnknown, "the node was told to end, by dqlite_stop() or by the end of the process"});
  Status checkpointed = databases_->checkpoint_locally(deadline);
  if (!checkpointed) vfs::queue_log(checkpointed.sentence());
}

}  // namespace dqlite::extension
