// gRPC's own cost: the smallest unary call, answered by gRPC's health service.
#include "client/cli/microbenchmark/grpc_round_trip.h"

#include <grpcpp/grpcpp.h>
#include <grpcpp/impl/client_unary_call.h>
#include <grpcpp/impl/codegen/proto_utils.h>
#include <grpcpp/impl/rpc_method.h>

#include "kiln/v1/state.pb.h"

namespace kiln::cli::microbenchmark {

void MeasureGrpcRoundTrip(Report* report, const std::string& head_address) {
  grpc::ChannelArguments arguments;
  arguments.SetString(GRPC_ARG_DEFAULT_AUTHORITY, "localhost");
  std::shared_ptr<grpc::Channel> channel =
      grpc::CreateCustomChannel(head_address, grpc::InsecureChannelCredentials(), arguments);
  grpc::internal::RpcMethod check("/grpc.health.v1.Health/Check",
                                  grpc::internal::RpcMethod::NORMAL_RPC, channel);
  // The health messages have no required fields, so an empty message of any type will do.
  v1::GetStatusRequest request;
  v1::GetStatusRequest response;
  report->Rate("grpc unary round trip", "calls/s", [&] {
    grpc::ClientContext context;
    (void)grpc::internal::BlockingUnaryCall(channel.get(), check, &context, request, &response);
  });
}

}  // namespace kiln::cli::microbenchmark
