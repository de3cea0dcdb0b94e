// What the head knows, and how to stop it.
#include <malloc.h>

#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

#include "common/limits.h"
#include "daemon/core/worker_state.h"
#include "daemon/process/memory.h"
#include "daemon/services/actor_row.h"
#include "daemon/services/call.h"
#include "daemon/services/memory_reader.h"
#include "daemon/services/row_filter.h"
#include "daemon/sessions/convert.h"
#include "kiln/v1/state.grpc.pb.h"

namespace kiln::services {
namespace {

// Collects the rows that a request selects into a repeated field, and counts all that match.
template <typename Row>
class RowCollector {
 public:
  static Result<RowCollector> Make(const v1::ListRequest& request,
                                   google::protobuf::RepeatedPtrField<Row>* rows) {
    Result<RowFilter> filter = RowFilter::Parse(request.filters(), Row::descriptor());
    if (!filter.ok()) return filter.status();
    return RowCollector(std::move(*filter),
                        request.limit() > 0 ? request.limit() : limits::kListRows, rows);
  }

  void Add(Row row) {
    if (!filter_.Matches(row)) return;
    ++total_;
    if (rows_->size() < static_cast<int64_t>(limit_)) *rows_->Add() = std::move(row);
  }
  uint64_t total() const { return total_; }

 private:
  RowCollector(RowFilter filter, uint32_t limit, google::protobuf::RepeatedPtrField<Row>* rows)
      : filter_(std::move(filter)), limit_(limit), rows_(rows) {}

  RowFilter filter_;
  uint32_t limit_;
  google::protobuf::RepeatedPtrField<Row>* rows_;
  uint64_t total_ = 0;
};

int64_t ToWall(Time time) {
  return WallMilliseconds() - std::chrono::duration_cast<milliseconds>(Clock::now() - time).count();
}

int64_t ToWallMicroseconds(Time time) {
  using std::chrono::duration_cast;
  const auto wall = std::chrono::system_clock::now().time_since_epoch();
  return (duration_cast<microseconds>(wall) - duration_cast<microseconds>(Clock::now() - time))
      .count();
}

const char* Name(core::ObjectView::State state) {
  switch (state) {
    case core::ObjectView::State::kPending:
      return "PENDING";
    case core::ObjectView::State::kCreated:
      return "CREATED";
    case core::ObjectView::State::kSealed:
      return "SEALED";
  }
  return "";
}

class StateService : public v1::State::CallbackService {
 public:
  explicit StateService(const Context* context) : context_(context) {}

  grpc::ServerUnaryReactor* GetStatus(grpc::CallbackServerContext* call,
                                      const v1::GetStatusRequest* request,
                                      v1::Status* response) override {
    return BeginOnLoop(*context_, call,
                       [this, request, response](grpc::ServerUnaryReactor* reactor) {
                         FillStatus(response);
                         if (request->memory()) FillMemory(response->mutable_memory());
                         if (!request->actor_memory()) return reactor->Finish(grpc::Status::OK);
                         AddActorMemory(response, reactor);
                       });
  }

  grpc::ServerUnaryReactor* ListTasks(grpc::CallbackServerContext* call,
                                      const v1::ListRequest* request,
                                      v1::ListTasksResponse* response) override {
    return List<v1::TaskInfo>(call, request, response, response->mutable_tasks(),
                              [this](auto add) { VisitTasks(add); });
  }

  grpc::ServerUnaryReactor* ListObjects(grpc::CallbackServerContext* call,
                                        const v1::ListRequest* request,
                                        v1::ListObjectsResponse* response) override {
    return List<v1::ObjectInfo>(call, request, response, response->mutable_objects(),
                                [this](auto add) { VisitObjects(add); });
  }

  grpc::ServerUnaryReactor* ListWorkers(grpc::CallbackServerContext* call,
                                        const v1::ListRequest* request,
                                        v1::ListWorkersResponse* response) override {
    return List<v1::WorkerInfo>(call, request, response, response->mutable_workers(),
                                [this](auto add) { VisitWorkers(add); });
  }

  grpc::ServerUnaryReactor* ListSessions(grpc::CallbackServerContext* call,
                                         const v1::ListRequest* request,
                                         v1::ListSessionsResponse* response) override {
    return List<v1::SessionInfo>(call, request, response, response->mutable_sessions(),
                                 [this](auto add) { VisitSessions(add); });
  }

  grpc::ServerUnaryReactor* ListActors(grpc::CallbackServerContext* call,
                                       const v1::ListRequest* request,
                                       v1::ListActorsResponse* response) override {
    return BeginOnLoop(*context_, call,
                       [this, request, response](grpc::ServerUnaryReactor* reactor) {
                         Status status = Collect(*request, response, response->mutable_actors(),
                                                 [this](auto add) { VisitActors(add); });
                         if (!status.ok()) return reactor->Finish(ToGrpc(status));
                         AddMemory(response, reactor);
                       });
  }

  grpc::ServerUnaryReactor* ListPlacementGroups(
      grpc::CallbackServerContext* call, const v1::ListRequest* request,
      v1::ListPlacementGroupsResponse* response) override {
    return List<v1::GroupInfo>(call, request, response, response->mutable_groups(),
                               [this](auto add) { VisitGroups(add); });
  }

  grpc::ServerUnaryReactor* Stop(grpc::CallbackServerContext* call, const v1::StopRequest* request,
                                 v1::StopResponse* response) override {
    return OnLoop(*context_, call, [this, request, response] {
      v1::StopRequest bounded = *request;
      bounded.set_grace_ms(std::min(request->grace_ms(), kLongestMs));
      *response = context_->stop(bounded);
      return Status();
    });
  }

 private:
  template <typename Row, typename Response, typename Visit>
  grpc::ServerUnaryReactor* List(grpc::CallbackServerContext* call, const v1::ListRequest* request,
                                 Response* response, google::protobuf::RepeatedPtrField<Row>* rows,
                                 Visit visit) {
    return OnLoop(*context_, call, [request, response, rows, visit] {
      return Collect(*request, response, rows, visit);
    });
  }
  template <typename Row, typename Response, typename Visit>
  static Status Collect(const v1::ListRequest& request, Response* response,
                        google::protobuf::RepeatedPtrField<Row>* rows, const Visit& visit) {
    Result<RowCollector<Row>> collector = RowCollector<Row>::Make(request, rows);
    if (!collector.ok()) return collector.status();
    visit([&](Row row) { collector->Add(std::move(row)); });
    response->set_total(collector->total());
    return Status();
  }

  void FillStatus(v1::Status* out) const;
  void FillMemory(v1::MemoryUse* out) const;
  // What made the object, as lists show it.
  std::string MakerOf(ObjectId object) const;
  // The rest of an answer, which is read off the loop; finishes the call.
  void AddActorMemory(v1::Status* out, grpc::ServerUnaryReactor* reactor);
  void AddMemory(v1::ListActorsResponse* out, grpc::ServerUnaryReactor* reactor);
  template <typename Add>
  void VisitTasks(Add add) const;
  template <typename Add>
  void VisitObjects(Add add) const;
  template <typename Add>
  void VisitWorkers(Add add) const;
  template <typename Add>
  void VisitSessions(Add add) const;
  template <typename Add>
  void VisitActors(Add add) const;
  template <typename Add>
  void VisitGroups(Add add) const;

  const Context* const context_;
  MemoryReader memory_;
};

void StateService::FillStatus(v1::Status* out) const {
  core::Totals totals = context_->core->GetTotals();
  out->set_version(context_->info.version);
  out->set_pid(context_->info.pid);
  out->set_started_ms(context_->info.started_ms);
  out->set_address(context_->info.address);
  out->set_tcp_address(context_->info.tcp_address);
  out->set_session_dir(context_->info.session_dir);
  out->set_log_dir(context_->info.log_dir);
  sessions::ToProto(totals.total, out->mutable_total());
  sessions::ToProto(totals.used, out->mutable_used());
  out->set_workers(totals.workers);
  out->set_workers_idle(totals.workers_idle);
  out->set_workers_blocked(totals.workers_blocked);
  out->set_tasks_waiting(totals.tasks_waiting);
  out->set_tasks_ready(totals.tasks_ready);
  out->set_tasks_running(totals.tasks_running);
  out->set_tasks_finished(totals.tasks_finished);
  out->set_tasks_failed(totals.tasks_failed);
  out->set_queued_bytes(totals.queued_bytes);
  out->set_store_capacity_bytes(context_->store->capacity_bytes());
  out->set_store_used_bytes(context_->store->used_bytes());
  out->set_store_pages(shm::Name(context_->store->pages()));
  out->set_store_warm_bytes(context_->store->warm_bytes());
  out->set_store_prefaulting(context_->store->is_prefaulting());
  out->set_store_pages_reason(context_->store->why_not_huge());
  out->set_objects(totals.objects);
  out->set_drivers(totals.drivers);
  out->set_jobs_active(static_cast<uint32_t>(context_->jobs->active()));
  for (const std::string& failure : totals.worker_failures) out->add_worker_failures(failure);
  out->set_actors(totals.actors);
  out->set_actors_starting(totals.actors_starting);
  out->set_max_workers(static_cast<uint32_t>(context_->max_workers));
  out->set_max_actors(limits::kMaxActors);
  uint32_t starting = 0, hosting = 0;
  for (const core::WorkerRow& row : context_->core->ListWorkers()) {
    starting += row.state == core::Name(core::WorkerState::kStarting);
    hosting += row.state == core::Name(core::WorkerState::kActor);
  }
  out->set_workers_starting(starting);
  out->set_actor_processes(hosting);
}

void StateService::AddActorMemory(v1::Status* out, grpc::ServerUnaryReactor* reactor) {
  std::vector<int64_t> pids;
  for (const core::ActorRow& row : context_->core->ListActors()) {
    if (row.pid != 0) pids.push_back(row.pid);
  }
  memory_.Read(std::move(pids), [out, reactor](const std::vector<uint64_t>& bytes) {
    out->set_actor_memory_bytes(std::accumulate(bytes.begin(), bytes.end(), uint64_t{0}));
    reactor->Finish(grpc::Status::OK);
  });
}

void StateService::AddMemory(v1::ListActorsResponse* out, grpc::ServerUnaryReactor* reactor) {
  std::vector<int64_t> pids;
  for (const v1::ActorInfo& actor : out->actors()) pids.push_back(actor.pid());
  memory_.Read(std::move(pids), [out, reactor](const std::vector<uint64_t>& bytes) {
    for (int i = 0; i < out->actors_size(); ++i) {
      out->mutable_actors(i)->set_memory_bytes(bytes[static_cast<size_t>(i)]);
    }
    reactor->Finish(grpc::Status::OK);
  });
}

void StateService::FillMemory(v1::MemoryUse* out) const {
  const core::MemoryUse use = context_->core->GetMemory();
  out->set_tasks(use.tasks);
  out->set_task_bytes(use.task_bytes);
  out->set_argument_bytes(use.argument_bytes);
  out->set_objects(use.objects);
  out->set_object_bytes(use.object_bytes);
  out->set_value_bytes(use.value_bytes);
  out->set_references(use.references);
  out->set_reference_bytes(use.reference_bytes);
  const struct mallinfo2 heap = mallinfo2();
  out->set_heap_used_bytes(heap.uordblks + heap.hblkhd);
  out->set_heap_free_bytes(heap.fordblks);
  out->set_pss_bytes(process::ProportionalBytes());
}

template <typename Add>
void StateService::VisitTasks(Add add) const {
  context_->core->VisitTasks([&](const core::TaskRow& row) {
    v1::TaskInfo out;
    out.set_id(FormatRef(row.id));
    out.set_name(row.name);
    out.set_state(row.state);
    out.set_worker_pid(row.worker != 0 ? context_->launcher->FindPid(row.worker) : row.worker_pid);
    out.set_session_number(row.session);
    out.set_attempt(row.attempt);
    out.set_priority(row.priority);
    out.set_detail(row.detail);
    out.set_submitted_ms(ToWall(row.submitted));
    if (row.ended != Time()) out.set_ended_us(ToWallMicroseconds(row.ended));
    out.set_run_us(static_cast<uint64_t>(std::max<int64_t>(row.run_time.count(), 0)));
    add(std::move(out));
    return true;
  });
}

template <typename Add>
void StateService::VisitGroups(Add add) const {
  for (const core::GroupRow& row : context_->core->ListGroups()) {
    v1::GroupInfo out;
    out.set_id(FormatRef(row.id));
    out.set_name(row.name);
    out.set_state(row.state);
    for (const core::Resources& bundle : row.bundles) sessions::ToProto(bundle, out.add_bundles());
    sessions::ToProto(row.used, out.mutable_used());
    out.set_session_number(row.root);
    out.set_detail(row.detail);
    add(std::move(out));
  }
}

std::string StateService::MakerOf(ObjectId object) const {
  std::string name = context_->core->MakerName(object);
  if (!name.empty()) return name;
  const std::optional<core::ActorView> actor = context_->core->FindActor(object);
  return actor ? "actor " + actor->label : "";
}

template <typename Add>
void StateService::VisitObjects(Add add) const {
  std::vector<core::ObjectView> objects;
  context_->core->VisitObjects([&](const core::ObjectView& object) {
    objects.push_back(object);
    return true;
  });
  auto size = [](const core::ObjectView& object) {
    return object.value ? core::SizeBytes(*object.value) : 0;
  };
  std::sort(objects.begin(), objects.end(), [&](const auto& a, const auto& b) {
    return size(a) != size(b) ? size(a) > size(b) : a.id < b.id;
  });
  for (const core::ObjectView& object : objects) {
    v1::ObjectInfo out;
    out.set_ref(FormatRef(object.id));
    out.set_state(Name(object.state));
    out.set_size_bytes(size(object));
    out.set_in_store(object.value && std::holds_alternative<core::Slice>(*object.value));
    out.set_is_error(object.is_error);
    out.set_references(object.references);
    out.set_session_number(object.creator);
    out.set_task(MakerOf(object.id));
    add(std::move(out));
  }
}

template <typename Add>
void StateService::VisitWorkers(Add add) const {
  for (const core::WorkerRow& row : context_->core->ListWorkers()) {
    v1::WorkerInfo out;
    out.set_id(row.id);
    out.set_pid(context_->launcher->FindPid(row.id));
    out.set_state(row.state);
    const process::Program* program = context_->launcher->FindProgram(row.program);
    out.set_program(program ? program->executable : "");
    out.set_task(row.task);
    out.set_assigned(row.assigned);
    out.set_finished(row.finished);
    add(std::move(out));
  }
}

template <typename Add>
void StateService::VisitSessions(Add add) const {
  for (const core::SessionRow& row : context_->core->ListSessions()) {
    const sessions::Session* session = context_->sessions->Find(row.number);
    if (!session) continue;  // the head's own
    v1::SessionInfo out;
    out.set_number(row.number);
    out.set_kind(row.kind == core::SessionKind::kDriver ? "driver" : "worker");
    out.set_pid(session->pid());
    out.set_language(session->language());
    out.set_transport(session->transport());
    out.set_tasks(row.tasks);
    out.set_references(row.references);
    out.set_connected_ms(session->connected_ms());
    add(std::move(out));
  }
}

template <typename Add>
void StateService::VisitActors(Add add) const {
  for (const core::ActorRow& row : context_->core->ListActors()) {
    v1::ActorInfo out;
    ToProto(row, &out);
    add(std::move(out));
  }
}

}  // namespace

std::unique_ptr<grpc::Service> MakeStateService(const Context* context) {
  return std::make_unique<StateService>(context);
}

}  // namespace kiln::services
