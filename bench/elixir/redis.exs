defmodule Bench.Redis do
  # A Redis server of our own on loopback, and what a caller says to it: commands of
  # the protocol RESP, one connection a process, several commands in one write.

  # Debian's redis-tools has the server under the name of a tool; unlike the
  # package redis-server it starts no service when it is installed.
  def executable, do: System.find_executable("redis-check-rdb")

  # `options` are more arguments. Nothing is written to the disk but what they say.
  def start!(options) do
    executable = executable() || raise "redis-tools is missing; see .ci/setup"
    number = Bench.Server.free_port()
    arguments = ["--port", "#{number}", "--bind", "127.0.0.1", "--save", ""] ++ options
    # It is a server if it is called one.
    command = ["bash", "-c", ~S(exec -a redis-server "$0" "$@"), executable | arguments]
    server = Bench.Server.start!(command, fn -> match?({:ok, _}, connect(number)) end)
    Map.put(server, :number, number)
  end

  def stop(server), do: Bench.Server.stop(server)

  def connect(number) do
    :gen_tcp.connect({127, 0, 0, 1}, number, [:binary, active: false, nodelay: true])
  end

  # The answers to commands, which are encoded already, on the connection of the
  # calling process.
  def ask(number, commands, count) do
    {socket, rest} =
      with nil <- Process.get({:redis, number}), {:ok, socket} <- connect(number) do
        {socket, ""}
      end

    :ok = :gen_tcp.send(socket, commands)
    {answers, rest} = receive_answers(socket, rest, count, [])
    Process.put({:redis, number}, {socket, rest})
    answers
  end

  defp receive_answers(_socket, rest, 0, answers), do: {Enum.reverse(answers), rest}

  defp receive_answers(socket, rest, count, answers) do
    case parse(rest) do
      {:ok, answer, rest} ->
        receive_answers(socket, rest, count - 1, [answer | answers])

      :more ->
        {:ok, bytes} = :gen_tcp.recv(socket, 0)
        receive_answers(socket, rest <> bytes, count, answers)
    end
  end

  # A command of strings and integers, as it is sent.
  def encode(words) do
    ["*", Integer.to_string(length(words)), "\r\n" | Enum.map(words, &bulk/1)]
  end

  defp bulk(word) when is_integer(word), do: bulk(Integer.to_string(word))
  defp bulk(word), do: ["$", Integer.to_string(byte_size(word)), "\r\n", word, "\r\n"]

  # One answer and what follows it.
  def parse(<<type, rest::binary>>) do
    case :binary.split(rest, "\r\n") do
      [line, rest] -> parse(type, line, rest)
      [_part] -> :more
    end
  end

  def parse(""), do: :more

  defp parse(?+, line, rest), do: {:ok, line, rest}
  defp parse(?:, line, rest), do: {:ok, String.to_integer(line), rest}
  defp parse(?-, line, _rest), do: raise("Redis says: #{line}")
  defp parse(?$, "-1", rest), do: {:ok, nil, rest}

  defp parse(?$, line, rest) do
    size = String.to_integer(line)

    case rest do
      <<bytes::binary-size(size), "\r\n", rest::binary>> -> {:ok, bytes, rest}
      _part -> :more
    end
  end

  defp parse(?*, line, rest), do: items(String.to_integer(line), rest, [])

  defp items(0, rest, items), do: {:ok, Enum.reverse(items), rest}

  defp items(count, rest, items) do
    case parse(rest) do
      {:ok, item, rest} -> items(count - 1, rest, [item | items])
      :more -> :more
    end
  end

  def set(number, key, value) do
    ["OK"] = ask(number, encode(["SET", key, value]), 1)
  end
end

defmodule Bench.Redis.Gatherer do
  # One connection for all: what has queued up behind a command goes into the same
  # write, as clients of Redis for Elixir do it. Callers encode, it parses.
  use GenServer

  def start_link(number), do: GenServer.start_link(__MODULE__, number)

  def ask(server, commands, count) do
    GenServer.call(server, {:commands, commands, count}, :infinity)
  end

  @impl true
  def init(number) do
    {:ok, socket} = Bench.Redis.connect(number)
    :ok = :inet.setopts(socket, active: true)
    {:ok, %{socket: socket, rest: "", waiting: :queue.new()}}
  end

  @impl true
  def handle_call({:commands, commands, count}, from, state) do
    {commands, waiting} = drain([commands], :queue.in({from, count, []}, state.waiting))
    :ok = :gen_tcp.send(state.socket, commands)
    {:noreply, %{state | waiting: waiting}}
  end

  defp drain(commands, waiting) do
    receive do
      {:"$gen_call", from, {:commands, more, count}} ->
        drain([commands | more], :queue.in({from, count, []}, waiting))
    after
      0 -> {commands, waiting}
    end
  end

  @impl true
  def handle_info({:tcp, _socket, bytes}, state) do
    {rest, waiting} = answer(state.rest <> bytes, state.waiting)
    {:noreply, %{state | rest: rest, waiting: waiting}}
  end

  defp answer(bytes, waiting) do
    case Bench.Redis.parse(bytes) do
      {:ok, answer, rest} -> answer(rest, give(:queue.out(waiting), answer))
      :more -> {bytes, waiting}
    end
  end

  defp give({{:value, {from, 1, answers}}, waiting}, answer) do
    GenServer.reply(from, Enum.reverse([answer | answers]))
    waiting
  end

  defp give({{:value, {from, count, answers}}, waiting}, answer) do
    :queue.in_r({from, count - 1, [answer | answers]}, waiting)
  end
end
