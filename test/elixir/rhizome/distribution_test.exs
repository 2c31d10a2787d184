defmodule Rhizome.DistributionTest do
  # A store on another node: two VMs that find each other without epmd, by the
  # port that they agree upon.
  use Rhizome.Case, async: true

  @server "rhizome_server@localhost"

  test "is called by pid and {name, node}, and its timeouts hold" do
    port = free_port()

    server =
      start_vm(
        """
        {:ok, _} = Rhizome.start_link(name: S)
        Rhizome.create_table!(S, :s, :set)
        IO.puts("node \#{node()}")
        Process.sleep(:infinity)
        """,
        node(port, @server)
      )

    if starts?(server) do
      # The clocks of two VMs have nothing to do with each other.
      client =
        start_vm(
          """
          true = Node.connect(:"#{@server}")
          store = {S, :"#{@server}"}
          pid = :rpc.call(:"#{@server}", Process, :whereis, [S])
          stores = [store, pid]
          IO.puts("pings \#{inspect(for s <- stores, t <- [5_000, :infinity], do: Rhizome.ping(s, timeout: t))}")
          set = Rhizome.table!(store, :s)
          Rhizome.insert_all!(set, [self(), 1, :a])
          batch = Rhizome.Batch.new() |> Rhizome.Batch.insert(Rhizome.handle(pid, :s, :set), 2)
          [_change] = Rhizome.run!(store, batch)
          IO.puts("set \#{inspect(Rhizome.to_list(set) == [1, 2, :a, self()])}")
          {:ok, %{ref: ref}} = Rhizome.subscribe(store, [set])
          handle = Rhizome.Handle.insert!(Rhizome.Handle.new(set), :told)
          told = receive(do: ({:rhizome, ^ref, {:changes, [%{seq: seq, changes: told}]}} -> {seq, told}))
          IO.puts("told \#{inspect(told == {handle.seq, [{:s, :insert, :told}]})}")
          os_pid = Rhizome.info(store).os_pid
          System.cmd("/bin/sh", ["-c", "kill -s STOP \#{os_pid}"])
          {:error, late} = Rhizome.ping(store, timeout: 50)
          System.cmd("/bin/sh", ["-c", "kill -s CONT \#{os_pid}"])
          IO.puts("late \#{late.code}")
          {:error, nobody} = Rhizome.ping({S, :"nobody@localhost"})
          IO.puts("nobody \#{nobody.details.outcome}: \#{nobody.message}")
          """,
          node(port, "rhizome_client@localhost") ++ ["--erl", "-dist_listen false"]
        )

      assert await_line(client, "pings") == "[:ok, :ok, :ok, :ok]"
      assert await_line(client, "set") == "true"
      assert await_line(client, "told") == "true"
      assert await_line(client, "late") == "timeout"
      assert await_line(client, "nobody") =~ "not_sent: the store's node :nobody@localhost"
      assert await_exit(client, 20_000) == 0
    end
  end

  # Says so and goes on where distribution cannot be had.
  defp starts?(server) do
    receive do
      {^server, {:data, {:eol, "node " <> @server}}} -> true
      {^server, {:data, _other}} -> starts?(server)
      {^server, {:exit_status, _status}} -> IO.puts("(no distribution: not tested)") != :ok
    after
      20_000 -> flunk("the server's VM does not start")
    end
  end

  defp node(port, name) do
    [
      "--erl",
      "-start_epmd false -erl_epmd_port #{port} -setcookie rhizome_test",
      "--sname",
      name
    ]
  end

  defp free_port do
    {:ok, socket} = :gen_tcp.listen(0, [])
    {:ok, port} = :inet.port(socket)
    :gen_tcp.close(socket)
    port
  end
end
