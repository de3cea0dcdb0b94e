#include "daemon/services/server.h"

#include <arpa/inet.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/impl/codegen/proto_utils.h>
#include <grpcpp/impl/service_type.h>
#include <grpcpp/server_posix.h>
#include <grpcpp/support/proto_buffer_reader.h>
#include <grpcpp/support/proto_buffer_writer.h>
#include <sys/socket.h>
#include <unistd.h>

#include <charconv>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "common/limits.h"
#include "common/log.h"
#include "common/shm/fd_passing.h"
#include "daemon/services/call.h"

namespace kiln::services {
namespace {

// Time for what was answered to be on its way. It always passes: a client that waits for the head's
// end, as `kiln stop` does, has a connection that nobody reads and that therefore stays open.
constexpr auto kLastAnswers = milliseconds(25);

bool IsPort(std::string_view text) {
  unsigned port = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc() && end == text.data() + text.size() && port <= 65535;
}

// Errors: InvalidArgument unless `listen` is HOST:PORT with a loopback host.
Status CheckLoopback(const std::string& listen) {
  size_t colon = listen.rfind(':');
  std::string host = colon == std::string::npos ? "" : listen.substr(0, colon);
  if (!host.empty() && !IsPort(std::string_view(listen).substr(colon + 1))) {
    return Status(Code::kInvalidArgument, "will not listen on \"" + listen +
                                              "\": the port must be a number from 0 (any free "
                                              "one) to 65535");
  }
  if (host == "localhost" || host == "[::1]") return Status();
  in_addr address;
  bool is_ip = inet_pton(AF_INET, host.c_str(), &address) == 1;
  if (is_ip && (ntohl(address.s_addr) >> 24) == 127) return Status();
  return Status(Code::kInvalidArgument,
                "will not listen on \"" + listen + "\": " +
                    (is_ip ? "only loopback addresses are allowed in this version, because the "
                             "connection is not encrypted; use 127.0.0.1:PORT and an ssh tunnel"
                           : "it must be HOST:PORT with HOST 127.0.0.1, [::1] or localhost"));
}

class GrpcServer : public Server {
 public:
  GrpcServer(const Context* context, int listening_fd)
      : context_(context), listening_fd_(listening_fd) {
    services_.push_back(MakeSessionsService(context));
    services_.push_back(MakeTasksService(context));
    services_.push_back(MakeObjectsService(context));
    services_.push_back(MakeJobsService(context));
    services_.push_back(MakeActorsService(context));
    services_.push_back(MakeStateService(context));
  }

  ~GrpcServer() override {
    if (shutdown_.joinable()) shutdown_.join();
    context_->loop->Unwatch(listening_fd_);
    close(listening_fd_);
  }

  Status Listen(const std::string& listen) {
    grpc::ServerBuilder builder;
    for (auto& service : services_) builder.RegisterService(service.get());
    builder.SetMaxReceiveMessageSize(limits::kMaxMessageBytes);
    builder.SetMaxSendMessageSize(limits::kMaxMessageBytes);
    // Ours are callback services; reflection alone is served by the pollers.
    builder.SetSyncServerOption(grpc::ServerBuilder::MIN_POLLERS, 1);
    builder.SetSyncServerOption(grpc::ServerBuilder::MAX_POLLERS, 2);
    builder.SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, 1);
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
    int port = -1;
    if (!listen.empty()) {
      builder.AddListeningPort(listen, grpc::InsecureServerCredentials(), &port);
    }
    server_ = builder.BuildAndStart();
    if (!server_ || port == 0) {
      return Status(Code::kUnavailable, "cannot listen on " + listen +
                                            ": the port is taken; choose another one, or port 0 "
                                            "for any free one");
    }
    // By itself the health service knows the server as a whole only.
    for (const char* name : {"Sessions", "Tasks", "Objects", "Jobs", "Actors", "State"}) {
      server_->GetHealthCheckService()->SetServingStatus(std::string("kiln.v1.") + name, true);
    }
    if (port > 0) tcp_address_ = listen.substr(0, listen.rfind(':') + 1) + std::to_string(port);
    context_->loop->Watch(listening_fd_, [this] { Accept(); });
    return Status();
  }

  std::string tcp_address() const override { return tcp_address_; }

  void Shutdown(std::function<void()> done) override {
    context_->loop->Unwatch(listening_fd_);
    shutdown_ = std::thread([this, done = std::move(done)] {
      server_->Shutdown(std::chrono::system_clock::now() + kLastAnswers);
      context_->loop->Post(done);
    });
  }

 private:
  void Accept() {
    int fd = accept4(listening_fd_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) return;
    Result<shm::PeerCredentials> peer = shm::CredentialsOf(fd);
    if (!peer.ok() || !shm::IsTrusted(*peer)) {
      log::Warning("event=peer_refused uid={}", peer.ok() ? static_cast<int>(peer->uid) : -1);
      close(fd);
      return;
    }
    grpc::AddInsecureChannelFromFd(server_.get(), fd);
  }

  const Context* const context_;
  const int listening_fd_;
  std::vector<std::unique_ptr<grpc::Service>> services_;
  std::unique_ptr<grpc::Server> server_;
  std::string tcp_address_;
  std::thread shutdown_;
};

}  // namespace

Result<std::unique_ptr<Server>> Server::Start(const Context* context,
                                              const std::string& unix_socket,
                                              const std::string& listen) {
  if (!listen.empty()) {
    if (Status status = CheckLoopback(listen); !status.ok()) return status;
  }
  static const bool plugins = [] {
    grpc::EnableDefaultHealthCheckService(true);
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
    return true;
  }();
  (void)plugins;
  Result<int> socket = shm::ListenUnix(unix_socket);
  if (!socket.ok()) return socket.status();
  auto server = std::make_unique<GrpcServer>(context, *socket);
  if (Status status = server->Listen(listen); !status.ok()) return status;
  return std::unique_ptr<Server>(std::move(server));
}

// --- what all service adapters share -------------------------------------------------------------

Status Authorize(const Context& context, const grpc::CallbackServerContext& call) {
  std::string peer = call.peer();
  if (!peer.starts_with("ipv4:") && !peer.starts_with("ipv6:")) return Status();
  const auto& metadata = call.client_metadata();
  auto sent = metadata.find("authorization");
  std::string expected = "Bearer " + context.token;
  if (sent != metadata.end() && sent->second.size() == expected.size()) {
    unsigned difference = 0;  // compares in constant time
    for (size_t i = 0; i < expected.size(); ++i) {
      difference |= static_cast<unsigned char>(sent->second.data()[i] ^ expected[i]);
    }
    if (difference == 0) return Status();
  }
  return Status(Code::kUnauthenticated,
                "TCP connections need the head's token: set KILN_TOKEN to the content of the file "
                "\"token\" in its session directory");
}

Time TimeIn(int64_t ms) {
  return ms < 0 || ms > kLongestMs ? kNever : Clock::now() + milliseconds(ms);
}

bool Parse(grpc::ByteBuffer* bytes, google::protobuf::MessageLite* message) {
  using google::protobuf::MessageLite;
  return grpc::GenericDeserialize<grpc::ProtoBufferReader, MessageLite>(bytes, message).ok();
}

grpc::ByteBuffer Serialize(const google::protobuf::MessageLite& message) {
  using google::protobuf::MessageLite;
  grpc::ByteBuffer bytes;
  bool own_buffer = false;
  (void)grpc::GenericSerialize<grpc::ProtoBufferWriter, MessageLite>(message, &bytes, &own_buffer);
  return bytes;
}

Result<ObjectId> ReadRef(const std::string& text) {
  if (std::optional<ObjectId> id = ParseRef(text)) return *id;
  return Status(Code::kInvalidArgument,
                "\"" + text + "\" is not a ref; a ref has 16 hexadecimal digits");
}

Result<std::vector<ObjectId>> ReadRefs(
    const google::protobuf::RepeatedPtrField<std::string>& texts) {
  std::vector<ObjectId> ids;
  for (const std::string& text : texts) {
    Result<ObjectId> id = ReadRef(text);
    if (!id.ok()) return id.status();
    ids.push_back(*id);
  }
  return ids;
}

}  // namespace kiln::services
