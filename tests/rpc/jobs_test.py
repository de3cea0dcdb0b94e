"""Submitting, following and stopping jobs."""

import os
import unittest

import grpc
from head import TIMEOUT_S, HeadTest, job_pb2, wait_until

Code = grpc.StatusCode


class Jobs(HeadTest):
    def tearDown(self):
        self.head.wait_until_empty()

    def submit(self, *command, **options):
        return self.head.jobs.SubmitJob(job_pb2.SubmitJobRequest(command=command, **options),
                                        timeout=TIMEOUT_S).id

    def follow(self, job, follow=True):
        """Returns: all output, and the job as the last message has it."""
        parts = list(self.head.jobs.FollowLog(job_pb2.FollowLogRequest(id=job, follow=follow),
                                              timeout=TIMEOUT_S))
        return b"".join(part.data for part in parts), parts[-1].job

    def stop(self, job, **options):
        return self.head.jobs.StopJob(job_pb2.StopJobRequest(id=job, **options), timeout=TIMEOUT_S)

    def state(self, job):
        return self.head.jobs.GetJob(job_pb2.GetJobRequest(id=job)).state

    def test_a_job_runs_and_its_log_is_followed_to_the_end(self):
        job = self.submit("sh", "-c", "echo out; echo err >&2; exit 3", name="three")
        output, ended = self.follow(job)
        self.assertEqual(output, b"out\nerr\n")
        self.assertEqual((ended.id, ended.name, ended.state, ended.exit_code),
                         (job, "three", job_pb2.JOB_STATE_FAILED, 3))
        self.assertLessEqual(ended.submitted_ms, ended.ended_ms)
        self.assertEqual(self.follow(job, follow=False)[0], output)

    def test_output_arrives_while_the_job_runs(self):
        job = self.submit("sh", "-c", "echo first; sleep 60")
        stream = self.head.jobs.FollowLog(job_pb2.FollowLogRequest(id=job, follow=True),
                                          timeout=TIMEOUT_S)
        self.assertEqual(next(stream).data, b"first\n")
        self.stop(job, grace_ms=100)
        self.assertEqual(list(stream)[-1].job.state, job_pb2.JOB_STATE_STOPPED)

    def test_much_output_arrives_whole(self):
        output, ended = self.follow(self.submit("seq", "300000"))
        self.assertEqual(output, b"".join(b"%d\n" % i for i in range(1, 300_001)))
        self.assertEqual(ended.state, job_pb2.JOB_STATE_SUCCEEDED)

    def test_a_job_sees_its_environment_directory_and_head(self):
        job = self.submit("sh", "-c", "echo $COLOUR; pwd; echo $KILN_ADDRESS; echo $PLAIN",
                          env={"COLOUR": "red"}, base_env=["PLAIN=yes", f"PATH={os.environ['PATH']}"],
                          working_dir="/usr")
        output, _ = self.follow(job)
        self.assertEqual(output.decode().split(),
                         ["red", "/usr", self.head.info["address"], "yes"])

    def test_stopping_ends_the_whole_process_group(self):
        job = self.submit("sh", "-c", "sleep 61 & echo $!; wait")
        stream = self.head.jobs.FollowLog(job_pb2.FollowLogRequest(id=job, follow=True),
                                          timeout=TIMEOUT_S)
        child = int(next(stream).data)
        ended = self.stop(job)
        self.assertEqual(ended.state, job_pb2.JOB_STATE_STOPPED)
        wait_until(lambda: not os.path.exists(f"/proc/{child}"), "the child is gone")

    def test_a_job_that_ignores_the_signal_is_killed_after_the_grace(self):
        job = self.submit("sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.01; done")
        stream = self.head.jobs.FollowLog(job_pb2.FollowLogRequest(id=job, follow=True),
                                          timeout=TIMEOUT_S)
        self.assertEqual(next(stream).data, b"ready\n")
        ended = self.stop(job, grace_ms=50)
        self.assertEqual((ended.state, ended.exit_code), (job_pb2.JOB_STATE_STOPPED, 128 + 9))

    def test_a_job_waits_for_its_cpus(self):
        first = self.submit("sleep", "60", num_cpus=2)
        wait_until(lambda: self.state(first) == job_pb2.JOB_STATE_RUNNING, "the first runs")
        second = self.submit("true", num_cpus=1)
        self.assertEqual(self.state(second), job_pb2.JOB_STATE_PENDING)
        self.assertEqual(self.head.holdings()["num_cpus"], 2)
        self.stop(first, grace_ms=2**63 - 1)
        self.assertEqual(self.follow(second)[1].state, job_pb2.JOB_STATE_SUCCEEDED)
        jobs = self.head.jobs.ListJobs(job_pb2.ListJobsRequest()).jobs
        self.assertEqual([job.id for job in jobs][:2], [second, first])

    def test_one_reader_that_leaves_does_not_end_the_job(self):
        job = self.submit("sh", "-c", "echo first; read line < /dev/null; exec sleep 60")
        stream = self.head.jobs.FollowLog(job_pb2.FollowLogRequest(id=job, follow=True))
        next(stream)
        stream.cancel()
        self.assertEqual(self.state(job), job_pb2.JOB_STATE_RUNNING)
        self.stop(job)

    def test_mistakes_are_told(self):
        with self.refused(Code.INVALID_ARGUMENT, "command"):
            self.submit()
        with self.refused(Code.INVALID_ARGUMENT, "/nowhere"):
            self.submit("true", working_dir="/nowhere")
        with self.refused(Code.INVALID_ARGUMENT, "num_cpus"):
            self.submit("true", num_cpus=-1)
        with self.refused(Code.RESOURCE_EXHAUSTED, "64"):
            self.submit("true", num_cpus=64)
        for call in (self.state, self.follow, self.stop):
            for job in ("job-999", "nonsense", ""):
                with self.refused(Code.NOT_FOUND, f'"{job}"'):
                    call(job)

    def test_a_command_that_is_not_there_fails_with_its_name(self):
        _, ended = self.follow(self.submit("no-such-command-1"))
        self.assertEqual(ended.state, job_pb2.JOB_STATE_FAILED)
        self.assertIn("no-such-command-1", ended.message)


if __name__ == "__main__":
    unittest.main()
