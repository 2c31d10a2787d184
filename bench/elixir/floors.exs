# Suite `floors`: what nobody can save who talks to a program beside the VM. What a
# call costs without a daemon behind it is in suite `port`, beside the daemon.
#
#   encode_insert      one request of a pair of integers as external terms
#   encode_1000        a thousand pairs, for each; decode_1000: as many back
#   copy_64k, copy_1m  copying a binary within the VM
#   echo_64k, echo_1m  as much through the pipe to a port program, and back

Code.require_file("support.exs", __DIR__)

options = Bench.parse("floors", System.argv())
echo = System.fetch_env!("RHIZOME_BENCH_ECHO")
rounds = if options.quick, do: 3, else: 7
times = if options.quick, do: 20_000, else: 200_000

# Nanoseconds that `fun` takes, in a process that is new: its heap has nothing of the
# last one's.
each = fn count, fun ->
  Task.async(fn ->
    1.0e9 * Bench.seconds(fn -> for(i <- 1..count, do: fun.(i)) |> length() end) / count
  end)
  |> Task.await(:infinity)
end

# The loop alone keeps what it makes, so it makes little.
size = fn binary -> byte_size(binary) end

Bench.run(options, ["encode_insert"], 1, rounds, [
  {"beam",
   fn ->
     ns = each.(times, fn i -> size.(:erlang.term_to_binary({:insert, :bench, {i, 7 * i}})) end)
     [{"encode_insert", "ns", ns}]
   end}
])

pairs = for i <- 1..1000, do: {i, 7919 * i}
encoded = :erlang.term_to_binary(pairs)

Bench.run(options, ["encode_1000"], 1000, rounds, [
  {"beam",
   fn ->
     ns = each.(div(times, 200), fn _ -> size.(:erlang.term_to_binary(pairs)) end)
     [{"encode_1000", "ns", ns / 1000}]
   end}
])

Bench.run(options, ["decode_1000"], 1000, rounds, [
  {"beam",
   fn ->
     ns = each.(div(times, 200), fn _ -> tuple_size(hd(:erlang.binary_to_term(encoded))) end)
     [{"decode_1000", "ns", ns / 1000}]
   end}
])

for {name, bytes} <- [{"64k", 65_536}, {"1m", 1_048_576}] do
  payload = :binary.copy("x", bytes)
  mib_per_s = fn ns -> bytes / 1_048_576 / (ns / 1.0e9) end
  count = div(if(options.quick, do: 64, else: 512) * 1_048_576, bytes)

  Bench.run(options, ["copy_#{name}"], bytes, rounds, [
    {"beam",
     fn ->
       ns = each.(count, fn _ -> size.(:binary.copy(payload)) end)
       [{"copy_#{name}", "mib_per_s", mib_per_s.(ns)}]
     end}
  ])

  Bench.run(options, ["echo_#{name}"], bytes, rounds, [
    {"echo",
     fn ->
       {:ok, server} = Bench.Echo.start_link(echo)

       ns =
         each.(div(count, 4), fn _ ->
           ^bytes = size.(GenServer.call(server, {:echo, payload}, :infinity))
         end)

       Bench.Echo.stop(server)
       [{"echo_#{name}", "mib_per_s", mib_per_s.(ns)}]
     end}
  ])
end
