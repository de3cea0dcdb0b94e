// What the services work on; all of it outlives the server.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "common/event_loop.h"
#include "common/session_dir.h"
#include "daemon/core/core.h"
#include "daemon/process/job_runner.h"
#include "daemon/process/worker_launcher.h"
#include "daemon/sessions/head_session.h"
#include "daemon/sessions/session_table.h"
#include "daemon/store/store.h"
#include "kiln/v1/state.pb.h"

namespace grpc {
class Service;
}

namespace kiln::services {

struct Context {
  EventLoop* loop;
  core::Core* core;
  store::Store* store;
  sessions::SessionTable* sessions;
  sessions::HeadSession* head_session;
  process::WorkerLauncher* launcher;
  process::JobRunner* jobs;
  int max_workers;  // as CoreOptions has it
  HeadInfo info;
  std::string token;  // asked of TCP peers; empty: no TCP
  std::function<v1::StopResponse(const v1::StopRequest&)> stop;
};

// One adapter per service of proto/kiln/v1: decode, post to the loop, encode.
std::unique_ptr<grpc::Service> MakeSessionsService(const Context* context);
std::unique_ptr<grpc::Service> MakeTasksService(const Context* context);
std::unique_ptr<grpc::Service> MakeObjectsService(const Context* context);
std::unique_ptr<grpc::Service> MakeJobsService(const Context* context);
std::unique_ptr<grpc::Service> MakeActorsService(const Context* context);
std::unique_ptr<grpc::Service> MakeStateService(const Context* context);

}  // namespace kiln::services
